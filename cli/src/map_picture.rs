//! The map as an SVG picture, for documents: nothing in it but rectangles and text.

use crate::map::{Map, range};
use crate::report::Bytes;

const WIDTH: u64 = 960;
const MARGIN: u64 = 20;
const ROW: u64 = 28;
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
    let cpus = map
        .cpus
        .iter()
        .map(|cpu| (1, cpu.owner.as_str(), cpu.name.clone()));
    picture.row(&cpus.collect::<Vec<_>>());
    picture.heading("Memory");
    for memory in &map.memory {
        let text = format!(
            "{}  {}  {}",
            range(memory.base, memory.size),
            Bytes(memory.size),
            memory.owner
        );
        picture.row(&[(1, memory.owner.as_str(), text)]);
    }
    picture.heading("Devices");
    for device in &map.devices {
        let text = format!("{}  {}", device.path, range(device.base, device.size));
        picture.row(&[(1, device.owner.as_str(), text)]);
    }
    picture.heading("Owners");
    let legend: Vec<(u64, &str, String)> = map
        .owners()
        .into_iter()
        .map(|owner| (1, owner, owner.to_owned()))
        .collect();
    picture.row(&legend);
    picture.end()
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

    /// Draws boxes side by side: each one's weight, owner and text.
    fn row(&mut self, boxes: &[(u64, &str, String)]) {
        let total: u64 = boxes.iter().map(|(weight, ..)| weight).sum::<u64>().max(1);
        let mut x = MARGIN;
        for (weight, owner, text) in boxes {
            let width = (WIDTH - 2 * MARGIN) * weight / total;
            let colour = self.colour(owner);
            let (y, height, text_x, text_y) = (self.y, ROW - 4, x + 8, self.y + ROW - 11);
            self.shapes.push(format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{height}\" fill=\"{colour}\" stroke=\"#37474f\"/>\n\
                 <text x=\"{text_x}\" y=\"{text_y}\">{}</text>",
                width.saturating_sub(2),
                escape(text)
            ));
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
