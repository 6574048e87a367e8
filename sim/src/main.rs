//! Years of failures in a simulated cluster, in seconds.

use std::io::Write;

use anyhow::{Result, bail};
use cairn_sim::years::{Plan, live, summary};
use clap::Parser;

/// Simulates years of failures of a Cairn cluster, with the decisions of a real metanode.
#[derive(Parser)]
#[command(name = "cairn-sim")]
struct Options {
    /// Datanodes in the beginning
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    nodes: u32,
    /// Years to live through
    #[arg(long, default_value_t = 1.0)]
    years: f64,
    /// The same seed gives the same history
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Zones that the nodes are in; one for 40 nodes by default
    #[arg(long)]
    zones: Option<usize>,
    /// Blocks in the beginning, 8 to 64 GiB each; 20 for each node by default
    #[arg(long)]
    blocks: Option<usize>,
    /// How often a node crashes in a year
    #[arg(long)]
    crashes: Option<f64>,
    /// How often a node is lost with its disks in a year
    #[arg(long)]
    losses: Option<f64>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if !(options.years > 0.0 && options.years <= 1_000.0) {
        bail!("--years must be above 0, and 1000 at most");
    }
    let mut plan = Plan::new(options.nodes as usize, (options.years * 365.0).ceil() as u64);
    plan.zones = options.zones.unwrap_or(plan.zones);
    plan.blocks = options.blocks.unwrap_or(plan.blocks);
    plan.crashes_a_year = options.crashes.unwrap_or(plan.crashes_a_year);
    plan.losses_a_year = options.losses.unwrap_or(plan.losses_a_year);
    let mut out = std::io::stdout();
    writeln!(out, "{} nodes in {} zones, {} blocks of 3 copies", plan.nodes, plan.zones, plan.blocks)?;
    let story = live(plan, options.seed, |_, _| {});
    write!(out, "{}", summary(&story))?;
    for violation in story.cluster.violations.iter().take(10) {
        writeln!(out, "broken: {violation:?}")?;
    }
    if !story.cluster.violations.is_empty() {
        bail!("promises were broken; --seed {} shows it again", options.seed);
    }
    Ok(())
}
