//! `top`: cells, CPUs and exits as they happen. Looking costs no exit.

use std::io::{self, IsTerminal as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bulkhead_abi::info::Info;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
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

/// Draws one picture.
pub fn draw(frame: &mut Frame<'_>, rates: &Rates) {
    let height = u16::try_from(rates.cells.len()).unwrap_or(u16::MAX);
    let parts = [
        Constraint::Length(height.saturating_add(3)),
        Constraint::Min(3),
        Constraint::Length(1),
    ];
    let [cells, cpus, keys] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(widget(" cells ", rates.cell_table(), 2), cells);
    frame.render_widget(widget(" CPUs ", rates.cpu_table(), 3), cpus);
    frame.render_widget(Line::from("q: end"), keys);
}

/// Makes a table as wide as its content, numbers from a column on to the right.
fn widget(
    title: &'static str,
    (head, rows): (Vec<String>, Vec<Vec<String>>),
    first_number: usize,
) -> Table<'static> {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .chain(head.get(column));
        cells
            .map(|text| text.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let row = |texts: &[String]| {
        let cells = texts.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (text, width))| match column >= first_number {
            true => format!("{text:>width$}"),
            false => text.clone(),
        });
        Row::new(cells.collect::<Vec<_>>())
    };
    let constraints = widths
        .iter()
        .map(|width| Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX)));
    Table::new(rows.iter().map(|texts| row(texts)), constraints)
        .header(row(&head).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::bordered().title(title))
}
