//! A device tree that may be as wrong as it likes, and its blob: what no careful writer would write.

use bulkhead_cli::tree::{self, Tree};

/// A node with all below it; names may repeat.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// With the unit address.
    pub name: String,
    /// Names and values.
    pub properties: Vec<(String, Vec<u8>)>,
    /// Nodes below.
    pub children: Vec<Node>,
}

impl Node {
    /// Reads a good blob.
    pub fn read(blob: &[u8]) -> Option<Self> {
        let tree = Tree::parse(blob).ok()?;
        Some(Self::copy(tree.root()))
    }

    fn copy(node: tree::Node<'_>) -> Self {
        let own = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
        Self {
            name: node.name().to_owned(),
            properties: node.properties().map(own).collect(),
            children: node.children().map(Self::copy).collect(),
        }
    }

    /// Number of nodes, itself one of them.
    pub fn count(&self) -> usize {
        1 + self.children.iter().map(Self::count).sum::<usize>()
    }

    /// Returns a node by its number in the order of the blob.
    pub fn nth(&mut self, mut number: usize) -> &mut Self {
        if number == 0 || self.children.is_empty() {
            return self;
        }
        number -= 1;
        let mut at = 0;
        while at + 1 < self.children.len() && number >= self.children[at].count() {
            number -= self.children[at].count();
            at += 1;
        }
        self.children[at].nth(number)
    }

    /// Writes the blob (Devicetree Specification, "Flattened Devicetree (DTB) Format").
    pub fn blob(&self) -> Vec<u8> {
        let (mut structure, mut strings) = (Vec::new(), Vec::new());
        self.write(&mut structure, &mut strings);
        word(&mut structure, 9);
        let start = 56;
        let total = start + structure.len() + strings.len();
        let mut blob = Vec::with_capacity(total);
        for field in [
            0xd00d_feed,
            total,
            start,
            start + structure.len(),
            40,
            17,
            16,
            0,
            strings.len(),
            structure.len(),
        ] {
            word(&mut blob, field);
        }
        blob.extend([0; 16]);
        blob.extend(structure);
        blob.extend(strings);
        blob
    }

    fn write(&self, structure: &mut Vec<u8>, strings: &mut Vec<u8>) {
        word(structure, 1);
        text(structure, &self.name);
        pad(structure);
        for (name, value) in &self.properties {
            word(structure, 3);
            word(structure, value.len());
            word(structure, offset_of(strings, name));
            structure.extend(value);
            pad(structure);
        }
        for child in &self.children {
            child.write(structure, strings);
        }
        word(structure, 2);
    }
}

fn word(out: &mut Vec<u8>, word: usize) {
    out.extend(u32::try_from(word).unwrap_or(u32::MAX).to_be_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes());
    out.push(0);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Returns where the name is in the strings, and adds it when it is not there.
fn offset_of(strings: &mut Vec<u8>, name: &str) -> usize {
    let mut wanted = Vec::new();
    text(&mut wanted, name);
    // Only whole strings: what begins at 0 or behind a zero.
    let mut at = 0;
    while at < strings.len() {
        if strings[at..].starts_with(&wanted) {
            return at;
        }
        at += strings[at..]
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(0)
            + 1;
    }
    strings.extend(wanted);
    at
}
