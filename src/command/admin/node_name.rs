//! Names of nodes: finds the node that an operator names, and shortens ids for output.

use anyhow::bail;
use cairn_protocol::admin::{Admin, NodeStatus, StatusRequest};
use cairn_protocol::id::NodeId;

/// The minimum number of characters of an id in output.
const SHORT_MIN: usize = 8;

/// The nodes of a cluster, which give names to each other: a short id has to be unique.
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<NodeStatus>,
    short: usize,
}

impl Nodes {
    /// Fetches all nodes from the metanode.
    pub(super) async fn ask(admin: &dyn Admin) -> anyhow::Result<Self> {
        Ok(Self::new(admin.status(StatusRequest {}).await?.nodes))
    }

    /// The names of these nodes.
    pub(super) fn new(nodes: Vec<NodeStatus>) -> Self {
        let ids: Vec<String> = nodes.iter().map(|node| node.node.to_string()).collect();
        let short =
            ids.iter().enumerate().flat_map(|(index, a)| ids[..index].iter().map(move |b| common(a, b) + 1));
        let short = short.fold(SHORT_MIN, usize::max);
        Self { nodes, short }
    }

    /// All nodes.
    pub(super) fn all(&self) -> &[NodeStatus] {
        &self.nodes
    }

    /// The beginning of an id, long enough that no two nodes of the cluster share it.
    pub(super) fn short(&self, node: NodeId) -> String {
        node.to_string().chars().take(self.short).collect()
    }

    /// A node with its address, for sentences.
    pub(super) fn name(&self, node: &NodeStatus) -> String {
        format!("{} ({})", self.short(node.node), node.address)
    }

    /// The node whose id begins with `name`, or whose address is `name`, with or without the scheme.
    pub(super) fn find(&self, name: &str) -> anyhow::Result<&NodeStatus> {
        let (id, host) = (name.to_ascii_lowercase(), host(name));
        let fits = |node: &&NodeStatus| {
            self::host(&node.address) == host || !id.is_empty() && node.node.to_string().starts_with(&id)
        };
        let found: Vec<_> = self.nodes.iter().filter(fits).collect();
        match found.as_slice() {
            [node] => Ok(node),
            [] if self.nodes.is_empty() => bail!("there is no datanode {name}; none ever registered"),
            [] => bail!("there is no datanode {name}; there are {}", self.names(self.nodes.iter())),
            several => {
                bail!("{name} may be any of {}; write more of the id", self.names(several.iter().copied()))
            }
        }
    }

    fn names<'a>(&self, nodes: impl Iterator<Item = &'a NodeStatus>) -> String {
        nodes.map(|node| self.name(node)).collect::<Vec<_>>().join(", ")
    }
}

fn host(address: &str) -> &str {
    address.trim_start_matches("http://").trim_end_matches('/')
}

/// The length of the common prefix of two ids.
fn common(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::node;

    fn nodes() -> Nodes {
        Nodes::new(vec![
            node("aaaaaaaa-aaaa-4000-8000-000000000001", "http://10.0.0.1:9020"),
            node("aaaaaaaa-aaaa-4000-8000-000000000002", "http://10.0.0.2:9020"),
            node("bbbbbbbb-0000-4000-8000-000000000003", "http://10.0.0.3:9020"),
        ])
    }

    fn found(name: &str) -> String {
        nodes().find(name).unwrap().address.clone()
    }

    fn complaint(name: &str) -> String {
        nodes().find(name).unwrap_err().to_string()
    }

    #[test]
    fn a_node_is_named_by_its_id_the_beginning_of_it_or_its_address() {
        assert_eq!(found("b"), "http://10.0.0.3:9020");
        assert_eq!(found("BBBB"), "http://10.0.0.3:9020");
        assert_eq!(found("aaaaaaaa-aaaa-4000-8000-000000000002"), "http://10.0.0.2:9020");
        assert_eq!(found("10.0.0.1:9020"), "http://10.0.0.1:9020");
        assert_eq!(found("http://10.0.0.1:9020/"), "http://10.0.0.1:9020");
    }

    #[test]
    fn an_unknown_or_ambiguous_name_is_refused_with_the_candidates() {
        let unknown = complaint("c");
        assert!(
            unknown.starts_with("there is no datanode c; there are ") && unknown.contains("10.0.0.3:9020")
        );
        let ambiguous = complaint("aaaa");
        assert!(ambiguous.contains("10.0.0.1") && ambiguous.contains("10.0.0.2"), "{ambiguous}");
        assert!(!ambiguous.contains("10.0.0.3"), "{ambiguous}");
        assert!(complaint("").contains("there is no datanode"));
    }

    #[test]
    fn a_short_id_is_still_unique() {
        let nodes = nodes();
        let shorts: Vec<_> = nodes.all().iter().map(|node| nodes.short(node.node)).collect();
        assert_eq!(shorts[0], "aaaaaaaa-aaaa-4000-8000-000000000001");
        let two = Nodes::new(nodes.all()[1..].to_vec());
        assert_eq!(two.short(two.all()[0].node), "aaaaaaaa");
    }
}
