//! `top`: cells, CPUs and exits as they happen. Looking costs no exit.

use std::io::{self, IsTerminal as _, stdout};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bulkhead_abi::info::{Info, exit};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table, Wrap};
use ratatui::{DefaultTerminal, Frame, TerminalOptions, Viewport};
use rustix::termios::tcgetwinsize;
use serde_json::json;

use super::Context;
use crate::args;
use crate::device::Device;
use crate::error::Error;
use crate::interruption::Interruption;
use crate::live;
use crate::report::Report;
use crate::top::Rates;

/// Of a terminal that does not know its size, as a serial line: columns and rows that any has.
const UNKNOWN: (u16, u16) = (80, 24);
/// Of a terminal on which nothing could be read any more.
const SMALLEST: (u16, u16) = (30, 8);
/// How long a signal may have to wait.
const SLICE: Duration = Duration::from_millis(200);

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
    let interruption = Interruption::listen()?;
    sleep(period.min(SLICE)); // so that the first picture's rates are some
    let result = open()
        .map_err(has_gone)
        .and_then(|mut terminal| watch(&device, period, before, &interruption, &mut terminal));
    ratatui::restore();
    result.map(|()| Report::new("", json!(null)))
}

fn has_gone(error: io::Error) -> Error {
    Error::System(format!("cannot use the terminal: {error}"))
}

/// Takes the terminal, in full.
fn open() -> io::Result<DefaultTerminal> {
    let viewport = match tcgetwinsize(stdout()) {
        Ok(size) if size.ws_col != 0 && size.ws_row != 0 => Viewport::Fullscreen,
        _ => Viewport::Fixed(Rect::new(0, 0, UNKNOWN.0, UNKNOWN.1)),
    };
    let terminal = ratatui::try_init_with_options(TerminalOptions { viewport })?;
    execute!(stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
    Ok(terminal)
}

/// Lets all be drawn anew, whatever others have written there: not by `Terminal::clear`, which asks the terminal where its cursor
/// is, and some never answer.
fn forget_drawn(terminal: &mut DefaultTerminal) -> io::Result<()> {
    terminal.swap_buffers();
    execute!(stdout(), Clear(ClearType::All))
}

fn watch(
    device: &Device,
    period: Duration,
    mut before: Look,
    interruption: &Interruption,
    terminal: &mut DefaultTerminal,
) -> Result<(), Error> {
    let (mut rates, _) = Look::take(device)?.since(&before);
    while !interruption.is_wanted() {
        terminal
            .draw(|frame| draw(frame, &rates))
            .map_err(has_gone)?;
        let rest = period.saturating_sub(before.at.elapsed());
        if rest.is_zero() {
            let now = Look::take(device)?;
            (rates, _) = now.since(&before);
            before = now;
        }
        // Also where drawing takes all of the period: else no key would ever be read.
        if event::poll(rest.min(SLICE)).map_err(has_gone)? {
            match event::read().map_err(has_gone)? {
                Event::Key(key) if is_end(key) => return Ok(()),
                Event::Key(key) if is_control(key, 'l') => {
                    forget_drawn(terminal).map_err(has_gone)?
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn is_control(key: KeyEvent, letter: char) -> bool {
    key.code == KeyCode::Char(letter) && key.modifiers.contains(KeyModifiers::CONTROL)
}

fn is_end(key: KeyEvent) -> bool {
    is_control(key, 'c') || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
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
    let (width, height) = SMALLEST;
    if frame.area().width < width || frame.area().height < height {
        let text = Paragraph::new(format!("too small: {width}x{height} wanted"));
        return frame.render_widget(text.wrap(Wrap { trim: true }), frame.area());
    }
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
    frame.render_widget(Line::from("q: end  Ctrl-L: draw anew"), keys);
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
