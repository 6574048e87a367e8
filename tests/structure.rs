//! The structure of the crates: modules of one folder do not use each other in a circle, and planner and simulator depend on
//! no crate that does IO.
//!
//! A folder's own module (`mod.rs`, `lib.rs`) and the modules in the folder may use each other. Neighbours in a folder may
//! not, because then neither can be read, tested or moved without the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// The path of a module from its crate's root.
type Module = Vec<String>;

/// The folders of the product's crates, each of which has a `src`.
const CRATES: [&str; 11] = [
    ".",
    "types",
    "protocol",
    "listener",
    "gateway",
    "gateway/policy",
    "metanode",
    "metanode/planner",
    "lifecycle",
    "datanode",
    "sim",
];

#[test]
fn no_modules_of_one_folder_use_each_other_in_a_circle() {
    let circles: Vec<String> = CRATES.iter().flat_map(|folder| circles(folder)).collect();
    assert!(circles.is_empty(), "modules that use each other:\n{}", circles.join("\n"));
}

/// The decisions of planner, simulator and policies must not depend on a clock, a socket or a file, so they use no crate that has one.
#[test]
fn planner_simulator_and_policies_depend_on_no_crate_that_does_io() {
    for package in ["cairn-planner", "cairn-sim", "cairn-policy", "cairn-lifecycle"] {
        let tree = dependencies(package);
        for io in ["tokio", "hyper", "axum", "reqwest", "rustls", "sqlx", "cairn-protocol", "cairn-listener"]
        {
            assert!(!tree.contains(io), "{package} depends on {io}");
        }
        assert!(tree.contains("cairn-types") || package == "cairn-policy", "{package} depends on {tree:?}");
    }
}

/// The image's build failed in CI because a new crate was missing in `.dockerignore`: the builder never received its manifest. A
/// crate of the workspace must be named wherever the image's build lists them.
#[test]
fn the_image_is_built_from_every_crate_of_the_workspace() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).expect("the file can be read");
    let (dockerfile, ignored) = (read("Dockerfile"), read(".dockerignore"));
    let stubs =
        dockerfile.lines().find_map(|line| line.strip_prefix("RUN for crate in ")).unwrap_or_default();
    let stubs: BTreeSet<&str> = stubs.trim_end_matches("; do \\").split(' ').collect();
    for member in members() {
        assert!(
            dockerfile.contains(&format!("\nCOPY {member}/Cargo.toml {member}/\n")),
            "no manifest of {member}"
        );
        assert!(stubs.contains(member.as_str()), "no stub of {member} in {stubs:?}");
        let sent = Path::new(&member).ancestors().any(|folder| {
            ignored.lines().any(|line| line.strip_prefix('!').is_some_and(|kept| Path::new(kept) == folder))
        });
        assert!(sent, "{member} is not sent to the builder");
        for bench in std::fs::read_dir(root().join(&member).join("benches")).into_iter().flatten() {
            let name =
                bench.expect("the folder can be read").file_name().into_string().expect("a file's name");
            assert!(
                dockerfile.contains(&format!("{member}/benches/{name}")),
                "no stub of {name} of {member}"
            );
        }
    }
}

/// The folders of the workspace's crates, without its root.
fn members() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest can be read");
    let manifest: toml::Table = manifest.parse().expect("a manifest");
    let members = manifest["workspace"]["members"].clone();
    members.try_into().expect("members are names")
}

/// The names of all crates that a package depends on, without those of its tests and build scripts.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{lib}"])
        .args(["--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim().replace('_', "-")).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The circles of a crate, a line each: the folder and, for each use of one module by another, a file that has it.
fn circles(folder: &str) -> Vec<String> {
    let modules = modules(&root().join(folder).join("src"));
    let mut lines = Vec::new();
    for (parent, edges) in neighbours(&modules) {
        for circle in components(&edges).into_iter().filter(|component| component.len() > 1) {
            let ties = edges
                .iter()
                .filter(|((from, to), _)| circle.contains(from) && circle.contains(to))
                .map(|((from, to), file)| format!("{from} -> {to} ({})", file.display()));
            let ties = ties.collect::<Vec<_>>().join(", ");
            lines.push(format!("{folder} {}: {ties}", parent.join("::")));
        }
    }
    lines
}

/// All modules below `source` that are not tests, and the files that hold them.
fn modules(source: &Path) -> BTreeMap<Module, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("sources can be read") {
            let path = entry.expect("sources can be read").path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if name == "tests" || name.ends_with("_tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(source).expect("a file of the crate").with_extension("");
                let mut module: Module =
                    below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                module.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
                found.insert(module, path);
            }
        }
    }
    found
}

/// For each folder: the pairs of its modules of which the first uses the second, and a file that has the use.
type Neighbours = BTreeMap<Module, BTreeMap<(String, String), PathBuf>>;

fn neighbours(modules: &BTreeMap<Module, PathBuf>) -> Neighbours {
    let mut found = Neighbours::new();
    for (module, file) in modules {
        for used in uses(file) {
            let Some(used) = resolve(&used, module, modules) else { continue };
            let shared = module.iter().zip(&used).take_while(|(one, other)| one == other).count();
            if let (Some(from), Some(to)) = (module.get(shared), used.get(shared)) {
                let edges = found.entry(module[..shared].to_vec()).or_default();
                edges.entry((from.clone(), to.clone())).or_insert_with(|| file.clone());
            }
        }
    }
    found
}

/// The module that a path names an item of: its longest prefix that is a module. None for paths into other crates.
fn resolve(path: &[String], module: &Module, modules: &BTreeMap<Module, PathBuf>) -> Option<Module> {
    let mut absolute = match path.first()?.as_str() {
        "crate" => path[1..].to_vec(),
        "self" => [&module[..], &path[1..]].concat(),
        "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            [&module[..module.len().checked_sub(up)?], &path[up..]].concat()
        }
        first => {
            let child = [&module[..], &[first.to_owned()]].concat();
            modules.contains_key(&child).then(|| [&module[..], path].concat())?
        }
    };
    while !modules.contains_key(&absolute) {
        absolute.pop()?;
    }
    Some(absolute)
}

/// All paths that a file uses outside its tests.
fn uses(file: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(file).expect("sources can be read");
    let mut syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    syntax.items.retain(|item| !is_test(item));
    let mut paths = Paths::default();
    paths.visit_file(&syntax);
    paths.found
}

fn is_test(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

#[derive(Default)]
struct Paths {
    found: Vec<Vec<String>>,
}

impl Paths {
    fn add_tree(&mut self, before: &[String], tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                self.add_tree(&[before, &[path.ident.to_string()]].concat(), &path.tree);
            }
            UseTree::Name(name) => self.found.push([before, &[name.ident.to_string()]].concat()),
            UseTree::Rename(name) => self.found.push([before, &[name.ident.to_string()]].concat()),
            UseTree::Glob(_) => self.found.push(before.to_vec()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }

    /// Adds the paths in the arguments of a macro, which syn does not parse.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.found.extend((path.len() > 1).then(|| path.clone()));
                        path.clear();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.found.extend((path.len() > 1).then(|| path.clone()));
                    path.clear();
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.found.extend((path.len() > 1).then_some(path));
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 && path.leading_colon.is_none() {
            self.found.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

/// The strongly connected components of a graph: sets of modules that reach each other. The graphs are small, so the function
/// computes the reach of each module and compares.
fn components(edges: &BTreeMap<(String, String), PathBuf>) -> BTreeSet<BTreeSet<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        next.entry(from).or_default().push(to);
    }
    let reached = |from: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open = vec![from];
        while let Some(module) = open.pop() {
            for to in next.get(module).into_iter().flatten() {
                if seen.insert(to) {
                    open.push(to);
                }
            }
        }
        seen
    };
    let all: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|module| (*module, reached(module))).collect();
    let mutual = |one: &str, other: &str| {
        all[one].contains(other) && all.get(other).is_some_and(|reached| reached.contains(one))
    };
    let component = |module: &&str| {
        all[*module].iter().filter(|other| mutual(module, other)).map(|&other| other.to_owned()).collect()
    };
    all.keys().map(component).collect()
}

/// The check finds a circle over any number of modules, through `use` lines, paths and macros.
#[test]
fn a_circle_is_found_however_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("lib.rs", "mod one; mod two; mod three; mod four;");
    write("one.rs", "use super::{two::Two, four};");
    write("two.rs", "fn two() { crate::three::three() }");
    write("three.rs", "fn three() { assert!(super::one::one()) }");
    write("four.rs", "#[cfg(test)] mod tests { use crate::one::one; }");
    let edges = neighbours(&modules(folder.path())).remove(&Module::new()).unwrap();
    let found = components(&edges).into_iter().filter(|component| component.len() > 1);
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(found.collect::<Vec<_>>(), [names(&["one", "two", "three"])]);
}
