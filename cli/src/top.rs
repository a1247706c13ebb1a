//! Exits a second, by CPU, cell and cause: the difference of two looks at the page that EL2 shares, which cost no exit.

use bulkhead_abi::MAX_CPUS;
use bulkhead_abi::info::{CellInfo, CpuInfo, Info, exit, state};
use bulkhead_model::id::Mpidr;
use serde_json::{Map, Value, json};

use crate::live::{self, state_name};
use crate::report::{Bytes, table};

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellRow {
    /// Name.
    pub name: String,
    /// State.
    pub state: String,
    /// Number of CPUs.
    pub cpus: usize,
    /// RAM, bytes; none for root.
    pub ram: Option<u64>,
    /// Its heartbeat, when it has one.
    pub heartbeat: Option<Pulse>,
    /// Exits of its CPUs a second.
    pub rate: f64,
}

/// How a heart beats, as of the last time that root's module looked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pulse {
    /// Beats a second.
    pub rate: f64,
    /// No beat was seen for longer than promised, for so many milliseconds.
    pub stalled_ms: Option<u64>,
}

/// A CPU.
#[derive(Clone, Debug, PartialEq)]
pub struct CpuRow {
    /// Index in the system's list.
    pub index: usize,
    /// Affinity.
    pub mpidr: Mpidr,
    /// Whose.
    pub cell: String,
    /// Exits since enable.
    pub total: u64,
    /// Exits a second.
    pub rate: f64,
    /// The same by cause.
    pub by_cause: [f64; exit::COUNT],
}

/// What is going on.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// Root first.
    pub cells: Vec<CellRow>,
    /// In the system's order.
    pub cpus: Vec<CpuRow>,
}

impl Rates {
    /// Compares two looks, so many seconds apart.
    pub fn between(before: &Info, after: &Info, seconds: f64) -> Self {
        let count = (after.cpu_count as usize).min(MAX_CPUS);
        let pairs = before.cpus[..count].iter().zip(&after.cpus[..count]);
        let cpus: Vec<CpuRow> = pairs
            .enumerate()
            .map(|(index, (before, now))| cpu(after, index, before, now, seconds))
            .collect();
        let cell = |cell: live::Cell<'_>| {
            let own = after.cpus[..count].iter().zip(&cpus);
            let own = own.filter(|(info, _)| info.cell as usize == cell.id);
            let rates: Vec<f64> = own.map(|(_, row)| row.rate).collect();
            let is_root = cell.id == 0;
            CellRow {
                name: live::cell_name(after, cell.id as u64),
                state: if is_root {
                    "running"
                } else {
                    state_name(cell.info.state)
                }
                .to_owned(),
                cpus: rates.len(),
                ram: (!is_root).then_some(cell.info.ram_size),
                heartbeat: pulse(&before.cells[cell.id], cell.info, seconds),
                rate: rates.iter().sum(),
            }
        };
        Self {
            cells: live::cells(after).map(cell).collect(),
            cpus,
        }
    }

    /// Returns the heads and the rows of the table of cells.
    pub fn cell_table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let row = |cell: &CellRow| {
            vec![
                cell.name.clone(),
                cell.state.clone(),
                cell.cpus.to_string(),
                cell.ram
                    .map_or("-".to_owned(), |ram| Bytes(ram).to_string()),
                beats(cell.heartbeat),
                rate(cell.rate),
            ]
        };
        let head = ["CELL", "STATE", "CPUS", "RAM", "BEATS/S", "EXITS/S"];
        (
            head.map(str::to_owned).to_vec(),
            self.cells.iter().map(row).collect(),
        )
    }

    /// Returns the heads and the rows of the table of CPUs, a column for each cause.
    pub fn cpu_table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let row = |cpu: &CpuRow| {
            let mut row = vec![
                cpu.index.to_string(),
                format!("{:#x}", cpu.mpidr.get()),
                cpu.cell.clone(),
                cpu.total.to_string(),
                rate(cpu.rate),
            ];
            row.extend(cpu.by_cause.iter().map(|n| rate(*n)));
            row
        };
        let head = ["CPU", "AFFINITY", "CELL", "EXITS", "EXITS/S"].map(str::to_owned);
        let causes = exit::NAMES
            .iter()
            .map(|name| format!("{}/S", name.to_uppercase()));
        (
            head.into_iter().chain(causes).collect(),
            self.cpus.iter().map(row).collect(),
        )
    }

    /// Writes both tables.
    pub fn to_text(&self) -> String {
        let text = |(head, rows): (Vec<String>, Vec<Vec<String>>), first_number| {
            let head: Vec<&str> = head.iter().map(String::as_str).collect();
            table(&head, rows, first_number)
        };
        format!(
            "{}\n\n{}",
            text(self.cell_table(), 2),
            text(self.cpu_table(), 3)
        )
    }

    /// The same for programs.
    pub fn to_json(&self, seconds: f64) -> Value {
        let causes = |cpu: &CpuRow| -> Map<String, Value> {
            let pairs = exit::NAMES.iter().zip(cpu.by_cause);
            pairs
                .map(|(name, n)| ((*name).to_owned(), n.into()))
                .collect()
        };
        json!({
            "seconds": seconds,
            "cells": self.cells.iter().map(|c| json!({
                "name": c.name, "state": c.state, "cpus": c.cpus, "ram_size": c.ram, "exits_per_second": c.rate,
                "heartbeat": c.heartbeat.map(|p| json!({ "per_second": p.rate, "stalled_ms": p.stalled_ms })),
            })).collect::<Vec<_>>(),
            "cpus": self.cpus.iter().map(|c| json!({
                "cpu": c.index, "mpidr": c.mpidr.get(), "cell": c.cell, "total": c.total, "exits_per_second": c.rate,
                "by_cause": causes(c),
            })).collect::<Vec<_>>(),
        })
    }
}

fn cpu(info: &Info, index: usize, before: &CpuInfo, now: &CpuInfo, seconds: f64) -> CpuRow {
    let mut by_cause = [0.0; exit::COUNT];
    for (rate, (now, before)) in by_cause.iter_mut().zip(now.exits.iter().zip(before.exits)) {
        // Enabled anew in between, counts begin at zero.
        let exits = u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
        *rate = f64::from(exits) / seconds.max(0.001);
    }
    CpuRow {
        index,
        mpidr: Mpidr::from_bits(now.mpidr),
        cell: live::cell_name(info, now.cell.into()),
        total: now
            .exits
            .iter()
            .fold(0, |sum: u64, n| sum.saturating_add(*n)),
        rate: by_cause.iter().sum(),
        by_cause,
    }
}

fn pulse(before: &CellInfo, now: &CellInfo, seconds: f64) -> Option<Pulse> {
    let health = &now.health;
    let is_running = now.state == state::RUNNING;
    (is_running && health.heartbeat_ms != 0).then(|| {
        // Started anew in between, beats count from zero.
        let beats = health.beats.saturating_sub(before.health.beats);
        Pulse {
            rate: f64::from(u32::try_from(beats).unwrap_or(u32::MAX)) / seconds.max(0.001),
            stalled_ms: (health.is_stalled != 0).then_some(health.silent_ms),
        }
    })
}

fn beats(pulse: Option<Pulse>) -> String {
    match pulse {
        None => "-".to_owned(),
        Some(Pulse {
            stalled_ms: Some(ms),
            ..
        }) => format!("stalled {} s", ms / 1000),
        Some(pulse) => rate(pulse.rate),
    }
}

/// A rate with as many digits as say something.
fn rate(rate: f64) -> String {
    if rate == 0.0 {
        "0".to_owned()
    } else if rate < 10.0 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}
