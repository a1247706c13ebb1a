//! The map as an SVG picture, for documents: nothing in it but rectangles and text.

use crate::map::{Device, Map, range};
use crate::report::Bytes;

const WIDTH: u64 = 960;
const MARGIN: u64 = 20;
const ROW: u64 = 28;
/// Where the second and the third column begin.
const MIDDLE: u64 = 440;
const RIGHT: u64 = 680;
const CPUS_A_ROW: usize = 8;
const OWNERS_A_ROW: usize = 6;
/// More devices of one kind and owner than this, side by side, are one row.
const FOLDED_FROM: usize = 3;
/// Colours of owners, root's first; they begin again when there are more owners.
const COLOURS: [&str; 8] = [
    "#cfd8dc", "#90caf9", "#a5d6a7", "#ffcc80", "#ce93d8", "#ef9a9a", "#80deea", "#e6ee9c",
];

/// Draws the map.
pub fn draw(map: &Map) -> String {
    let mut picture = Picture {
        owners: map.owners(),
        shapes: Vec::new(),
        y: MARGIN,
    };
    picture.heading("CPUs");
    for cpus in map.cpus.chunks(CPUS_A_ROW) {
        let cpus = cpus.iter().map(|cpu| {
            let text = format!("{}, {:#x}", cpu.name, cpu.mpidr);
            (cpu.owner.as_str(), vec![(0, text)])
        });
        picture.row(&cpus.collect::<Vec<_>>(), CPUS_A_ROW.min(map.cpus.len()));
    }
    picture.heading("Memory");
    for memory in &map.memory {
        let texts = vec![
            (0, range(memory.base, memory.size)),
            (MIDDLE, Bytes(memory.size).to_string()),
            (RIGHT, memory.owner.clone()),
        ];
        picture.row(&[(&memory.owner, texts)], 1);
    }
    picture.heading("Devices and their interrupts");
    for alike in map.devices.chunk_by(is_alike) {
        let Some((first, last)) = alike.first().zip(alike.last()) else {
            continue;
        };
        let is_folded = alike.len() > FOLDED_FROM;
        for device in if is_folded { &alike[..1] } else { alike } {
            let mut device = device.clone();
            if is_folded {
                device.path = format!("{} to @{}: {}", first.path, unit(&last.path), alike.len());
                device.size = last
                    .base
                    .saturating_add(last.size)
                    .saturating_sub(first.base);
                device.interrupts = alike.iter().flat_map(|d| d.interrupts.clone()).collect();
            }
            let texts = vec![
                (0, device.path.clone()),
                (MIDDLE, range(device.base, device.size)),
                (RIGHT, lines(&device.interrupts)),
            ];
            picture.row(&[(&device.owner, texts)], 1);
        }
    }
    picture.heading("Owners");
    for owners in map.owners().chunks(OWNERS_A_ROW) {
        let owners = owners
            .iter()
            .map(|owner| (*owner, vec![(0, (*owner).to_owned())]));
        picture.row(&owners.collect::<Vec<_>>(), OWNERS_A_ROW);
    }
    picture.end()
}

/// Tells whether two neighbours are of one kind, of one owner, and side by side.
fn is_alike(one: &Device, next: &Device) -> bool {
    let kind = |device: &Device| device.path.split('@').next().map(str::to_owned);
    let is_beside = one.base.checked_add(one.size) == Some(next.base);
    is_beside && one.owner == next.owner && kind(one) == kind(next)
}

fn unit(path: &str) -> &str {
    path.rsplit('@').next().unwrap_or(path)
}

/// Writes numbers, those that follow each other as a range.
fn lines(numbers: &[u32]) -> String {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let texts: Vec<String> = runs
        .map(|run| match run {
            [first, _, .., last] => format!("{first}-{last}"),
            [first, second] => format!("{first}, {second}"),
            _ => run.iter().map(u32::to_string).collect(),
        })
        .collect();
    texts.join(", ")
}

struct Picture<'a> {
    owners: Vec<&'a str>,
    shapes: Vec<String>,
    /// Where the next row begins.
    y: u64,
}

impl Picture<'_> {
    fn heading(&mut self, text: &str) {
        let y = self.y + ROW - 8;
        self.shapes.push(format!(
            "<text x=\"{MARGIN}\" y=\"{y}\" font-weight=\"bold\">{}</text>",
            escape(text)
        ));
        self.y += ROW;
    }

    /// Draws boxes side by side, so many fill the row: each one's owner, and texts with their places in it.
    fn row(&mut self, boxes: &[(&str, Vec<(u64, String)>)], of: usize) {
        let width = (WIDTH - 2 * MARGIN) / (of as u64).max(1);
        let mut x = MARGIN;
        for (owner, texts) in boxes {
            let colour = self.colour(owner);
            let (y, height, text_y) = (self.y, ROW - 4, self.y + ROW - 11);
            let title = escape(owner);
            self.shapes.push(format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{height}\" fill=\"{colour}\" stroke=\"#37474f\">\
                 <title>{title}</title></rect>",
                width.saturating_sub(2),
            ));
            for (offset, text) in texts {
                let text_x = x + 8 + offset;
                let text = escape(text);
                self.shapes
                    .push(format!("<text x=\"{text_x}\" y=\"{text_y}\">{text}</text>"));
            }
            x += width;
        }
        self.y += ROW;
    }

    fn colour(&self, owner: &str) -> &'static str {
        let index = self.owners.iter().position(|other| *other == owner);
        COLOURS[index.unwrap_or_default() % COLOURS.len()]
    }

    fn end(self) -> String {
        let height = self.y + MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"monospace\" \
             font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}\n</svg>\n",
            self.shapes.join("\n")
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
