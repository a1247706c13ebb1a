//! Every cell in a tiny world, and random histories in a small one, against a map that has one entry a page.

use std::collections::BTreeMap;

use bulkhead_model::addr::{Gpa, Hpa};
use bulkhead_model::blob::{
    CellConfig, CpuConfig, Delivery, DeviceConfig, Heartbeat, MemoryConfig, Name, Placement,
    SystemConfig,
};
use bulkhead_model::id::{CellId, CpuId, Mpidr, Spi};
use bulkhead_model::ledger::{Ledger, Owner};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::subsequence;

use crate::board::{device, memory, region, spi};

const PAGE: u64 = 4096;
/// The world's pages by what they are at first: devices `d`, interrupt controller `g`, hypervisor `h`, pool `p`, Linux'
/// RAM `l`, nothing `n` (which is root's like a device, but in no use).
const PAGES: &[u8] = b"ndggddnnnnnnnnnnhlppppl";
const CPUS: u64 = 3;

fn index(number: u64) -> usize {
    usize::try_from(number).expect("64-bit host")
}

fn find(kind: u8) -> (u64, u64) {
    let start = PAGES.iter().position(|k| *k == kind).expect("in the world");
    let count = PAGES[start..].iter().take_while(|k| **k == kind).count();
    (start as u64 * PAGE, count as u64 * PAGE)
}

fn world() -> Ledger {
    let (gic, pool, hv) = (find(b'g'), find(b'p'), find(b'h'));
    let ram = region(hv.0, (PAGES.len() as u64) * PAGE - hv.0);
    let system = SystemConfig {
        gicd: region(gic.0, gic.1),
        gicrs: [region(1 << 30, 0x8_0000)].into_iter().collect(), // outside this small world
        cpus: (0..CPUS)
            .map(|n| CpuConfig {
                mpidr: Mpidr::from_bits(n),
                online: true,
                release: None,
            })
            .collect(),
        ram: [ram].into_iter().collect(),
        ..crate::board::system()
    };
    Ledger::new(
        &system,
        region(hv.0, hv.1),
        Some(region(pool.0, pool.1)),
        32,
    )
    .expect("a good world")
}

/// The same truth, kept page by page.
#[derive(Clone)]
struct Naive {
    /// What each page is, and the cell that has it.
    pages: Vec<(u8, Option<usize>)>,
    cpus: Vec<usize>,
    spis: BTreeMap<u16, usize>,
    names: BTreeMap<usize, Name>,
}

impl Naive {
    fn new() -> Self {
        let pages = PAGES.iter().map(|kind| (*kind, None)).collect();
        Self {
            pages,
            cpus: vec![0; index(CPUS)],
            spis: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// Enters the cell, or returns `None` and is spoiled.
    fn create(&mut self, id: usize, config: &CellConfig) -> Option<()> {
        if self.names.values().any(|name| *name == config.name) || config.name == Name::ROOT {
            return None;
        }
        self.names.insert(id, config.name);
        if config.cpus.is_empty() || config.memory.is_empty() {
            return None;
        }
        for cpu in &config.cpus {
            let owner = self
                .cpus
                .get_mut(index(cpu.get()))
                .filter(|owner| **owner == 0)?;
            *owner = id;
        }
        self.cpus.contains(&0).then_some(())?;
        self.check_guest(config)?;
        for fixed in [true, false] {
            for memory in config
                .memory
                .iter()
                .filter(|m| (m.placement != Placement::Pool) == fixed)
            {
                let start = match memory.placement {
                    Placement::At(hpa) => hpa.0 / PAGE,
                    Placement::Pool => self.first_free(memory.size / PAGE)?,
                };
                self.take(id, start, memory.size / PAGE, b'p')?;
            }
        }
        for device in &config.devices {
            self.take(id, device.hpa.0 / PAGE, device.size / PAGE, b'd')?;
        }
        config
            .spis
            .iter()
            .try_for_each(|spi| self.spis.insert(spi.intid(), id).is_none().then_some(()))
    }

    fn check_guest(&self, config: &CellConfig) -> Option<()> {
        let mut seen = vec![];
        let memory = config.memory.iter().map(|m| (m.gpa.0, m.size));
        for (gpa, size) in memory.chain(config.devices.iter().map(|d| (d.gpa.0, d.size))) {
            for page in gpa / PAGE..(gpa + size) / PAGE {
                let is_gic = self
                    .pages
                    .get(index(page))
                    .is_some_and(|(kind, _)| *kind == b'g');
                if is_gic || seen.contains(&page) {
                    return None;
                }
                seen.push(page);
            }
        }
        Some(())
    }

    fn first_free(&self, count: u64) -> Option<u64> {
        let is_free = |page: u64| self.pages.get(index(page)) == Some(&(b'p', None));
        (0..PAGES.len() as u64).find(|start| (*start..start + count).all(is_free))
    }

    fn take(&mut self, id: usize, start: u64, count: u64, kind: u8) -> Option<()> {
        for page in start..start + count {
            let (found, owner) = self.pages.get_mut(index(page))?;
            let is_kind = *found == kind || (kind == b'd' && *found == b'n');
            if !is_kind || owner.is_some() {
                return None;
            }
            *owner = Some(id);
        }
        Some(())
    }

    fn release(&mut self, id: usize) {
        self.pages
            .iter_mut()
            .filter(|(_, owner)| *owner == Some(id))
            .for_each(|(_, owner)| *owner = None);
        self.cpus
            .iter_mut()
            .filter(|owner| **owner == id)
            .for_each(|owner| *owner = 0);
        self.spis.retain(|_, owner| *owner != id);
        self.names.remove(&id);
    }

    #[track_caller]
    fn assert_same(&self, ledger: &Ledger) {
        for (page, (kind, owner)) in (0..).zip(&self.pages) {
            let wanted = match (kind, owner) {
                (_, Some(id)) => Owner::Cell(CellId::new(*id).unwrap()),
                (b'g', _) => Owner::Gic,
                (b'h', _) => Owner::Hypervisor,
                (b'p', _) => Owner::Pool,
                _ => Owner::Cell(CellId::ROOT),
            };
            assert_eq!(ledger.owner(Hpa(page * PAGE)), wanted, "page {page}");
            let is_roots = wanted == Owner::Cell(CellId::ROOT);
            assert_ne!(
                ledger.not_roots().any(|r| r.contains(Hpa(page * PAGE))),
                is_roots,
                "page {page}"
            );
            let holders = ledger.holdings().filter(|(_, cell)| {
                cell.memory
                    .iter()
                    .chain(&cell.devices)
                    .any(|window| window.hpa.contains(Hpa(page * PAGE)))
            });
            assert_eq!(
                holders.count(),
                usize::from(owner.is_some()),
                "page {page} has one owner"
            );
        }
        for (index, owner) in self.cpus.iter().enumerate() {
            let cpu = CpuId::new(index).unwrap();
            let id = CellId::new(*owner).unwrap();
            assert_eq!(ledger.cpu_owner(cpu), id);
            assert_eq!(
                ledger.virtual_cpu(id, ledger.virtual_number(cpu)),
                Some(cpu)
            );
            let holders = ledger
                .holdings()
                .filter(|(_, cell)| cell.cpus.contains(&cpu));
            assert_eq!(holders.map(|(id, _)| id).collect::<Vec<_>>(), [id]);
        }
        for spi in [32, 33, 34].map(spi) {
            let owner = self.spis.get(&spi.intid()).copied().unwrap_or(0);
            let holders = ledger
                .holdings()
                .filter(|(_, cell)| cell.spis.contains(spi));
            assert_eq!(
                holders.map(|(id, _)| id.index()).collect::<Vec<_>>(),
                [owner]
            );
            assert_eq!(ledger.spi_owner(spi).index(), owner);
        }
        let free = self
            .pages
            .iter()
            .filter(|page| **page == (b'p', None))
            .count() as u64;
        assert_eq!(ledger.pool_free(), free * PAGE);
        let largest = (0..=free)
            .rev()
            .find(|count| self.first_free(*count).is_some())
            .unwrap_or(0);
        assert_eq!(ledger.pool_largest(), largest * PAGE);
    }
}

/// Creates in both worlds; the answers and what follows must be the same.
#[track_caller]
fn create_in_both(ledger: &mut Ledger, naive: &mut Naive, config: &CellConfig) -> Option<CellId> {
    match ledger.prepare_create(config, |_| true) {
        Ok(claim) => {
            let id = ledger.commit_create(&claim);
            assert!(
                naive.create(id.index(), config).is_some(),
                "must be refused: {config:?}"
            );
            Some(id)
        }
        Err(refused) => {
            let mut copy = naive.clone();
            let is_refused = ledger.holdings().count() == 8 || copy.create(7, config).is_none();
            assert!(is_refused, "must not be refused by {refused:?}: {config:?}");
            None
        }
    }
}

fn cell(
    name: &str,
    cpus: &[u64],
    memory: &[MemoryConfig],
    devices: &[DeviceConfig],
    spis: &[Spi],
) -> CellConfig {
    CellConfig {
        name: Name::new(name).unwrap(),
        cpus: cpus.iter().copied().map(Mpidr::from_bits).collect(),
        memory: memory.iter().copied().collect(),
        devices: devices.iter().copied().collect(),
        spis: spis.iter().copied().collect(),
        delivery: Delivery::Direct,
        heartbeat: Heartbeat::NONE,
        console: None,
    }
}

/// Every list of one or two regions of one or two pages, of the pool or at any page around it.
fn every_memory() -> Vec<Vec<MemoryConfig>> {
    let (hv, _) = find(b'h');
    let places = (0..8)
        .map(|n| Placement::At(Hpa(hv + n * PAGE)))
        .chain([Placement::Pool]);
    let regions: Vec<_> = places
        .flat_map(|at| [1, 2].map(|count| memory(0, at, count * PAGE)))
        .collect();
    let second = |region: &MemoryConfig| MemoryConfig {
        gpa: Gpa(0x10_0000),
        ..*region
    };
    let pairs = regions
        .iter()
        .flat_map(|a| regions.iter().map(move |b| vec![*a, second(b)]));
    regions
        .iter()
        .map(|region| vec![*region])
        .chain(pairs)
        .collect()
}

#[test]
fn every_two_cells_of_a_tiny_world_have_what_the_map_allows() {
    let all = every_memory();
    let mut allowed = 0;
    for first in &all {
        let (mut ledger, mut naive) = (world(), Naive::new());
        if create_in_both(&mut ledger, &mut naive, &cell("a", &[1], first, &[], &[])).is_none() {
            naive.assert_same(&ledger);
            continue;
        }
        naive.assert_same(&ledger);
        for second in &all {
            let (mut ledger, mut naive) = (ledger.clone(), naive.clone());
            let id = create_in_both(&mut ledger, &mut naive, &cell("b", &[2], second, &[], &[]));
            if let Some(id) = id {
                naive.assert_same(&ledger);
                ledger.release(id);
                naive.release(id.index());
                naive.assert_same(&ledger);
                allowed += 1;
            }
        }
    }
    assert!(allowed > 100, "{allowed}");
}

#[test]
fn every_choice_of_cpus_devices_and_interrupts_is_answered_as_by_the_map() {
    let some = [memory(0x20_0000, Placement::Pool, PAGE)];
    let cpu_lists =
        (0..4_u64).flat_map(|a| (0..5).map(move |b| if b == 4 { vec![a] } else { vec![a, b] }));
    for cpus in cpu_lists.chain([vec![], vec![0, 1, 2]]) {
        for page in 0..PAGES.len() as u64 {
            for (count, intids) in [
                (1, vec![]),
                (2, vec![32]),
                (1, vec![33, 32]),
                (1, vec![32, 32]),
            ] {
                let (mut ledger, mut naive) = (world(), Naive::new());
                let other = cell(
                    "a",
                    &[1],
                    &some,
                    &[device(5 * PAGE, 5 * PAGE, PAGE)],
                    &[spi(33)],
                );
                create_in_both(&mut ledger, &mut naive, &other).expect("the first cell");
                let spis: Vec<_> = intids.into_iter().map(spi).collect();
                let config = cell(
                    "b",
                    &cpus,
                    &some,
                    &[device(page * PAGE, page * PAGE, count * PAGE)],
                    &spis,
                );
                create_in_both(&mut ledger, &mut naive, &config);
                naive.assert_same(&ledger);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Create(Box<CellConfig>),
    Release(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let place = prop_oneof![
        (0..PAGES.len() as u64 + 1).prop_map(|page| Placement::At(Hpa(page * PAGE))),
        any::<()>().prop_map(|()| Placement::Pool),
    ];
    let gpa = || (0..12_u64).prop_map(|page| page * PAGE + 0x10_0000);
    let memories = vec(
        (gpa(), place, 1..3_u64).prop_map(|(gpa, at, count)| memory(gpa, at, count * PAGE)),
        1..3,
    );
    let window = (gpa(), 0..PAGES.len() as u64, 1..3_u64);
    let devices = vec(
        window.prop_map(|(gpa, page, count)| device(gpa, page * PAGE, count * PAGE)),
        0..2,
    );
    let cpus = vec(0..CPUS, 1..3);
    let spis = subsequence(vec![32, 33, 34], 0..3)
        .prop_map(|intids| intids.into_iter().map(spi).collect::<Vec<_>>());
    let create =
        ("[abc]", cpus, memories, devices, spis).prop_map(|(name, cpus, memory, devices, spis)| {
            Step::Create(Box::new(cell(&name, &cpus, &memory, &devices, &spis)))
        });
    prop_oneof![3 => create, 1 => (1..4_usize).prop_map(Step::Release)]
}

proptest! {
    #[test]
    fn after_any_history_everything_has_the_one_owner_that_the_map_says(history in vec(steps(), 1..40)) {
        let (mut ledger, mut naive) = (world(), Naive::new());
        for step in history {
            match step {
                Step::Create(config) => drop(create_in_both(&mut ledger, &mut naive, &config)),
                Step::Release(id) => {
                    ledger.release(CellId::new(id).unwrap());
                    naive.release(id);
                }
            }
            naive.assert_same(&ledger);
        }
    }
}
