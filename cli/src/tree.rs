//! Device trees: read once into nodes that know their parents, then asked by path, alias and phandle.
//!
//! One rule: nothing in a tree can make this code panic or loop; a wrong tree is an error with its place.

mod check;
pub mod compile;
pub mod interrupts;
pub mod references;
pub mod reg;

use std::collections::HashMap;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::model::DeviceTree;
use dtoolkit::{Node as _, Property as _};

pub use check::Malformed;

/// A tree in memory.
#[derive(Debug)]
pub struct Tree {
    /// In the order of the file: parents before their children.
    nodes: Vec<Record>,
    by_phandle: HashMap<u32, usize>,
}

/// Reads a blob as a tree that can be changed and written again.
///
/// # Errors
/// The blob is not a well-formed device tree.
pub fn draft(blob: &[u8]) -> Result<DeviceTree, Malformed> {
    Ok(DeviceTree::from_fdt(&Fdt::new_unchecked(check::check(
        blob,
    )?)))
}

#[derive(Debug)]
struct Record {
    name: String,
    parent: Option<usize>,
    children: Vec<usize>,
    /// By name.
    properties: Vec<(String, Vec<u8>)>,
}

impl Tree {
    /// Reads a blob.
    ///
    /// # Errors
    /// The blob is not a well-formed device tree.
    pub fn parse(blob: &[u8]) -> Result<Self, Malformed> {
        let blob = check::check(blob)?;
        let mut tree = Self {
            nodes: Vec::new(),
            by_phandle: HashMap::new(),
        };
        tree.add(&Fdt::new_unchecked(blob).root(), None);
        for index in 0..tree.nodes.len() {
            if let Some(phandle) = tree.node(index).u32("phandle") {
                tree.by_phandle.entry(phandle).or_insert(index);
            }
        }
        Ok(tree)
    }

    /// Adds a node and all below it; `check::MAX_DEPTH` bounds the recursion.
    fn add(&mut self, node: &FdtNode<'_>, parent: Option<usize>) -> usize {
        let index = self.nodes.len();
        let mut properties: Vec<_> = node
            .properties()
            .map(|p| (p.name().to_owned(), p.value().to_vec()))
            .collect();
        // Stable: of two with one name, the first stays first.
        properties.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.nodes.push(Record {
            name: node.name().to_owned(),
            parent,
            children: Vec::new(),
            properties,
        });
        for child in node.children() {
            let child = self.add(&child, Some(index));
            self.nodes[index].children.push(child);
        }
        index
    }

    fn node(&self, index: usize) -> Node<'_> {
        Node { tree: self, index }
    }

    /// Returns the root node.
    pub fn root(&self) -> Node<'_> {
        self.node(0)
    }

    /// Returns all nodes, parents before their children.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        (0..self.nodes.len()).map(|index| self.node(index))
    }

    /// Returns the node at an absolute path.
    pub fn find(&self, path: &str) -> Option<Node<'_>> {
        let path = path.strip_prefix('/')?;
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(self.root(), |node, name| node.child(name))
    }

    /// Returns the node that a path, an alias or a label names; behind an alias or a label may be a path.
    pub fn named(&self, reference: &str) -> Named<'_> {
        if reference.starts_with('/') {
            return self.find(reference).map_or(Named::None, Named::One);
        }
        let (word, rest) = reference.split_once('/').unwrap_or((reference, ""));
        let in_folder = |folder: &str| {
            let target = self.find(folder)?.str(word)?;
            self.find(&format!("{target}/{rest}"))
        };
        match (in_folder("/aliases"), in_folder("/__symbols__")) {
            (None, None) => Named::None,
            (Some(alias), Some(label)) if alias != label => Named::Two(alias, label),
            (Some(node), _) | (None, Some(node)) => Named::One(node),
        }
    }

    /// Returns the node that a reference names, if it names one.
    pub fn resolve(&self, reference: &str) -> Option<Node<'_>> {
        match self.named(reference) {
            Named::One(node) => Some(node),
            Named::None | Named::Two(..) => None,
        }
    }

    /// Returns the names in `/aliases`.
    pub fn aliases(&self) -> Vec<&str> {
        self.names_in("/aliases")
    }

    /// Returns the labels, where the tree was compiled with them (`dtc -@`).
    pub fn labels(&self) -> Vec<&str> {
        self.names_in("/__symbols__")
    }

    fn names_in(&self, folder: &str) -> Vec<&str> {
        let properties = self.find(folder).map(|node| node.properties());
        properties
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
            .filter(|name| *name != "phandle")
            .collect()
    }

    /// Returns the phandles that nodes have.
    pub fn phandles(&self) -> impl Iterator<Item = u32> {
        self.by_phandle.keys().copied()
    }

    /// Returns the node that has the phandle.
    pub fn by_phandle(&self, phandle: u32) -> Option<Node<'_>> {
        self.by_phandle.get(&phandle).map(|index| self.node(*index))
    }
}

/// What a reference names.
#[derive(Clone, Copy, Debug)]
pub enum Named<'t> {
    /// Nothing.
    None,
    /// A node.
    One(Node<'t>),
    /// One node as an alias, another as a label.
    Two(Node<'t>, Node<'t>),
}

/// A node of a [`Tree`].
#[derive(Clone, Copy, Debug)]
pub struct Node<'t> {
    tree: &'t Tree,
    index: usize,
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.tree, other.tree) && self.index == other.index
    }
}

impl<'t> Node<'t> {
    fn record(self) -> &'t Record {
        &self.tree.nodes[self.index]
    }

    /// Returns the tree it is in.
    pub fn tree(self) -> &'t Tree {
        self.tree
    }

    /// Returns its name with the unit address.
    pub fn name(self) -> &'t str {
        &self.record().name
    }

    /// Returns its absolute path.
    pub fn path(self) -> String {
        match self.parent() {
            None => "/".to_owned(),
            Some(parent) if parent.index == 0 => format!("/{}", self.name()),
            Some(parent) => format!("{}/{}", parent.path(), self.name()),
        }
    }

    /// Returns the node above.
    pub fn parent(self) -> Option<Self> {
        self.record().parent.map(|index| self.tree.node(index))
    }

    /// Returns it and all nodes above it, itself first.
    pub fn ancestors(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |node| node.parent())
    }

    /// Returns the nodes right below.
    pub fn children(self) -> impl Iterator<Item = Self> {
        self.record()
            .children
            .iter()
            .map(move |index| self.tree.node(*index))
    }

    /// Returns the child of that name; the unit address may be left out where only one child fits.
    pub fn child(self, name: &str) -> Option<Self> {
        if let Some(child) = self.children().find(|child| child.name() == name) {
            return Some(child);
        }
        let mut alike = self
            .children()
            .filter(|child| child.name().split('@').next() == Some(name));
        alike.next().filter(|_| alike.next().is_none())
    }

    /// Returns its properties by name.
    pub fn properties(self) -> impl Iterator<Item = (&'t str, &'t [u8])> {
        self.record()
            .properties
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Returns the value of a property; of two with one name, the first's.
    pub fn property(self, name: &str) -> Option<&'t [u8]> {
        let properties = &self.record().properties;
        let at = properties.partition_point(|(other, _)| other.as_str() < name);
        let (found, value) = properties.get(at)?;
        (found == name).then_some(value)
    }

    /// Returns the name of a property that the node has twice.
    pub fn repeated(self) -> Option<&'t str> {
        let pairs = self.record().properties.windows(2);
        let mut same = pairs.filter(|pair| pair[0].0 == pair[1].0);
        same.next().map(|pair| pair[0].0.as_str())
    }

    /// Returns a property of one cell.
    pub fn u32(self, name: &str) -> Option<u32> {
        Some(u32::from_be_bytes(self.property(name)?.try_into().ok()?))
    }

    /// Returns a property of one string, or the first of several.
    pub fn str(self, name: &str) -> Option<&'t str> {
        strings(self.property(name)?)?.into_iter().next()
    }

    /// Tells whether its `compatible` lists the name.
    pub fn is_compatible(self, name: &str) -> bool {
        self.property("compatible")
            .and_then(strings)
            .is_some_and(|list| list.contains(&name))
    }

    /// Tells whether its `status` leaves it in use.
    pub fn is_enabled(self) -> bool {
        matches!(self.str("status"), None | Some("okay" | "ok"))
    }
}

/// Splits a value into its zero-terminated strings; `None` when it is not a list of printable, non-empty ones.
pub fn strings(value: &[u8]) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(value.strip_suffix(&[0])?).ok()?;
    let list: Vec<&str> = text.split('\0').collect();
    let is_plain = |word: &&str| !word.is_empty() && !word.chars().any(char::is_control);
    list.iter().all(is_plain).then_some(list)
}

/// Most entries of a `reg`, a `ranges` or a list of interrupts: more than twice what any of Debian's trees has.
const MAX_ENTRIES: usize = 1024;

/// Splits a value into entries of so many cells; the error is the rest of a sentence about the property.
fn entries(value: &[u8], size: usize) -> Result<Vec<Vec<u32>>, String> {
    let words = cells(value).filter(|words| size != 0 && words.len().is_multiple_of(size));
    let Some(words) = words else {
        return Err(format!(
            "of {} bytes is not a multiple of {size} cells",
            value.len()
        ));
    };
    let count = words.len() / size;
    if count > MAX_ENTRIES {
        return Err(format!(
            "has {count} entries, more than the limit of {MAX_ENTRIES}"
        ));
    }
    Ok(words.chunks_exact(size).map(<[u32]>::to_vec).collect())
}

/// Splits a value into cells; `None` when its length is not a multiple of four.
pub fn cells(value: &[u8]) -> Option<Vec<u32>> {
    let (words, []) = value.as_chunks::<4>() else {
        return None;
    };
    Some(words.iter().map(|word| u32::from_be_bytes(*word)).collect())
}

/// Reads one or two cells as a number; `None` for any other count.
pub fn number(cells: &[u32]) -> Option<u64> {
    match cells {
        [low] => Some(u64::from(*low)),
        [high, low] => Some(u64::from(*high) << 32 | u64::from(*low)),
        _ => None,
    }
}
