//! `top`: cells, CPUs and exits as they happen. Looking costs no exit.

use std::io::{self, IsTerminal as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bulkhead_abi::info::{Info, exit};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Row, Table};
use serde_json::json;

use super::Context;
use crate::args;
use crate::device::Device;
use crate::error::Error;
use crate::live;
use crate::report::Report;
use crate::top::Rates;

/// A look at the shared page, and when it was.
struct Look {
    info: Box<Info>,
    at: Instant,
}

impl Look {
    fn take(device: &Device) -> Result<Self, Error> {
        Ok(Self {
            info: live::read(device)?,
            at: Instant::now(),
        })
    }

    fn since(&self, before: &Self) -> (Rates, f64) {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        (Rates::between(&before.info, &self.info, seconds), seconds)
    }
}

/// Shows it until `q`; once where it is a program that reads.
///
/// # Errors
/// Bulkhead is not enabled, or is disabled meanwhile.
pub fn top(context: &Context, args: &args::Top) -> Result<Report, Error> {
    let device = Device::open()?;
    let period = Duration::from_secs_f64(args.interval.clamp(0.1, 3600.0));
    let before = Look::take(&device)?;
    if args.once || context.is_json || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        sleep(period);
        let (rates, seconds) = Look::take(&device)?.since(&before);
        return Ok(Report::new(rates.to_text(), rates.to_json(seconds)));
    }
    let mut terminal = ratatui::try_init()
        .map_err(|error| Error::System(format!("cannot use the terminal: {error}")))?;
    let result = watch(&device, period, before, |rates| {
        terminal.draw(|frame| draw(frame, rates)).map(drop)
    });
    ratatui::restore();
    result.map(|()| Report::new("", json!(null)))
}

fn watch(
    device: &Device,
    period: Duration,
    mut before: Look,
    mut show: impl FnMut(&Rates) -> io::Result<()>,
) -> Result<(), Error> {
    let terminal = |error: io::Error| Error::System(format!("the terminal has gone: {error}"));
    let (mut rates, _) = Look::take(device)?.since(&before);
    loop {
        show(&rates).map_err(terminal)?;
        let rest = period.saturating_sub(before.at.elapsed());
        if event::poll(rest).map_err(terminal)? {
            if is_end(&event::read().map_err(terminal)?) {
                return Ok(());
            }
        } else {
            let now = Look::take(device)?;
            (rates, _) = now.since(&before);
            before = now;
        }
    }
}

fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let is_interrupt =
        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

/// Columns of cells to leave out where there is no room for them, the first one first: RAM, CPUS, BEATS/S.
const SPARE_OF_CELLS: &[usize] = &[3, 2, 4];
/// The same of CPUs: causes that tell the least, then affinity and total.
const SPARE_OF_CPUS: &[usize] = &[
    5 + exit::RETRY,
    5 + exit::OTHER,
    5 + exit::PART,
    5 + exit::KICK,
    5 + exit::ABORT,
    5 + exit::SYSREG,
    5 + exit::SMC,
    5 + exit::IRQ,
    5 + exit::GICR,
    5 + exit::GICD,
    5 + exit::HVC,
    5 + exit::SGI,
    1,
    3,
];

/// Draws one picture.
pub fn draw(frame: &mut Frame<'_>, rates: &Rates) {
    let height = u16::try_from(rates.cells.len()).unwrap_or(u16::MAX);
    let parts = [
        Constraint::Length(height.saturating_add(3).min(frame.area().height / 2)),
        Constraint::Min(3),
        Constraint::Length(1),
    ];
    let [cells, cpus, keys] = Layout::vertical(parts).areas(frame.area());
    let table = widget(" cells ", rates.cell_table(), 2, SPARE_OF_CELLS, cells);
    frame.render_widget(table, cells);
    let table = widget(" CPUs ", rates.cpu_table(), 3, SPARE_OF_CPUS, cpus);
    frame.render_widget(table, cpus);
    frame.render_widget(Line::from("q: end"), keys);
}

/// Makes a table as wide as its content, numbers from a column on to the right. A number that is cut would be another one: what
/// has no room is left out as a whole, and the last line says so.
fn widget(
    title: &'static str,
    (head, rows): (Vec<String>, Vec<Vec<String>>),
    first_number: usize,
    spare: &[usize],
    area: Rect,
) -> Table<'static> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let lengths = cells
            .chain(head.get(column))
            .map(|text| text.chars().count());
        lengths.max().unwrap_or_default()
    };
    let mut shown: Vec<(usize, usize)> = (0..head.len()).map(|c| (c, width(c))).collect();
    let room = usize::from(area.width.saturating_sub(1)); // two of the border, one less of gaps
    for column in spare {
        if shown.iter().map(|(_, width)| width + 1).sum::<usize>() <= room {
            break;
        }
        shown.retain(|(other, _)| other != column);
    }
    let row = |texts: &[String]| {
        let cells = shown.iter().map(|(column, width)| {
            let text = texts.get(*column).map_or("", String::as_str);
            match *column >= first_number {
                true => format!("{text:>width$}"),
                false => text.to_owned(),
            }
        });
        Row::new(cells.collect::<Vec<_>>())
    };
    let constraints = shown
        .iter()
        .map(|(_, width)| Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX)));
    let block = Block::bordered().title(title);
    let hidden_rows = rows
        .len()
        .saturating_sub(area.height.saturating_sub(3).into());
    let hidden = [(head.len() - shown.len(), "columns"), (hidden_rows, "rows")];
    let hidden: Vec<String> = hidden
        .iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, what)| format!("{what}: {count}"))
        .collect();
    let block = match hidden.is_empty() {
        true => block,
        false => block.title_bottom(format!(" no room for {} ", hidden.join(", "))),
    };
    Table::new(rows.iter().map(|texts| row(texts)), constraints)
        .header(row(&head).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(block)
}
