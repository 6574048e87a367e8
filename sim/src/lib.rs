//! Simulated clusters: the planner's decisions over thousands of nodes and years of failures.
