//! How a good tree becomes a hostile one: a few changes of its meaning, then perhaps a few of its bytes.

use crate::model::Node;

/// A small generator of numbers that look random (splitmix64); the same seed gives the same run.
pub struct Random(pub u64);

impl Random {
    /// Returns the next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap_or(0)
    }

    /// Returns one of the list, which is not empty.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Words that stand at an edge of something.
const WORDS: [u32; 16] = [
    0,
    1,
    2,
    3,
    4,
    5,
    9,
    0x10,
    0xff,
    0x1000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_f000,
    0xffff_fffc,
    0xffff_fffe,
    0xffff_ffff,
];

/// Properties that the command line acts on.
const NAMES: [&str; 36] = [
    "#address-cells",
    "#size-cells",
    "#interrupt-cells",
    "#clock-cells",
    "#redistributor-regions",
    "reg",
    "ranges",
    "dma-ranges",
    "interrupts",
    "interrupts-extended",
    "interrupt-parent",
    "interrupt-map",
    "interrupt-map-mask",
    "interrupt-controller",
    "phandle",
    "compatible",
    "status",
    "device_type",
    "clocks",
    "clock-names",
    "clock-frequency",
    "resets",
    "power-domains",
    "pinctrl-0",
    "iommus",
    "dmas",
    "dma-coherent",
    "method",
    "stdout-path",
    "cpus",
    "memory",
    "memory-physical",
    "devices",
    "console",
    "model",
    "allow-dma",
];

/// Makes a hostile blob of a good tree.
pub fn mutate(good: &Node, random: &mut Random) -> Vec<u8> {
    let mut tree = good.clone();
    let changes = random.below(5);
    for _ in 0..changes {
        change(&mut tree, random);
    }
    let mut blob = tree.blob();
    if changes == 0 || random.below(4) == 0 {
        for _ in 0..=random.below(6) {
            damage(&mut blob, random);
        }
    }
    blob
}

/// Makes one change of meaning.
fn change(tree: &mut Node, random: &mut Random) {
    let nodes = tree.count();
    let other = tree.nth(random.below(nodes)).clone();
    let number = random.below(nodes);
    let node = tree.nth(number);
    let count = node.properties.len();
    let at = random.below(count);
    match random.below(14) {
        0 if count > 0 => drop(node.properties.remove(at)),
        1 if count > 0 => node.properties[at].0 = random.pick(&NAMES).to_owned(),
        2 if count > 0 => {
            let twin = (node.properties[at].0.clone(), value(random));
            node.properties.push(twin);
        }
        3..=6 if count > 0 => alter(&mut node.properties[at].1, random),
        7..=9 => node
            .properties
            .push((random.pick(&NAMES).to_owned(), value(random))),
        10 if other.count() < 200 => node.children.push(other),
        11 if !node.children.is_empty() => {
            let child = random.below(node.children.len());
            drop(node.children.remove(child));
        }
        12 => node.properties.extend(other.properties),
        _ => nest(node, random),
    }
}

/// Puts the node's children some levels lower.
fn nest(node: &mut Node, random: &mut Random) {
    for _ in 0..random.below(40) {
        let inner = Node {
            name: "bus@0".to_owned(),
            properties: vec![("ranges".to_owned(), Vec::new())],
            children: std::mem::take(&mut node.children),
        };
        node.children.push(inner);
    }
}

/// Makes up a value: few words, many words or no whole ones.
fn value(random: &mut Random) -> Vec<u8> {
    let count = match random.below(60) {
        0 => random.below(3000),
        1..=40 => random.below(5),
        _ => random.below(20),
    };
    let mut value: Vec<u8> = (0..count)
        .flat_map(|_| {
            // Often a phandle of the tree: small, or where QEMU's begin.
            let word = match random.below(3) {
                0 => random.pick(&WORDS),
                1 => u32::try_from(random.below(12)).unwrap_or(0),
                _ => 0x8000 + u32::try_from(random.below(12)).unwrap_or(0),
            };
            word.to_be_bytes()
        })
        .collect();
    if random.below(12) == 0 {
        value.truncate(value.len().saturating_sub(1 + random.below(3)));
    }
    value
}

/// Changes a value.
fn alter(value: &mut Vec<u8>, random: &mut Random) {
    let words = value.len() / 4;
    match random.below(6) {
        0 => value.truncate(random.below(value.len())),
        1 if value.len() < 1 << 14 => value.extend_from_within(..),
        2 | 3 if words > 0 => {
            let at = random.below(words) * 4;
            value[at..at + 4].copy_from_slice(&random.pick(&WORDS).to_be_bytes());
        }
        4 if !value.is_empty() => {
            let at = random.below(value.len());
            value[at] = u8::try_from(random.below(256)).unwrap_or(0);
        }
        _ => *value = self::value(random),
    }
}

/// Changes bytes without a thought for what they mean.
fn damage(blob: &mut Vec<u8>, random: &mut Random) {
    let (length, words) = (blob.len(), blob.len() / 4);
    match random.below(6) {
        0 => blob.truncate(random.below(length)),
        1 if words > 0 => {
            let at = random.below(words) * 4;
            blob[at..at + 4].copy_from_slice(&random.pick(&WORDS).to_be_bytes());
        }
        // The header: offsets and sizes.
        2 if words > 10 => {
            let at = random.below(10) * 4;
            let word = u32::try_from(random.below(length + 8)).unwrap_or(0);
            blob[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        3 if words > 2 => {
            let (from, to) = (random.below(words - 1) * 4, random.below(words - 1) * 4);
            blob.copy_within(from..from + 4, to);
        }
        _ if length > 0 => {
            let at = random.below(length);
            blob[at] ^= 1u8 << random.below(8);
        }
        _ => {}
    }
}
