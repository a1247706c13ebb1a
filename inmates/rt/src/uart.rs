//! The UARTs that a console may be: how each is turned on and sends. Receiving is nobody's business here.
//!
//! PL011s by their driver; the others by the few registers that sending takes: NXP's i.MX UART (i.MX 8M Plus reference
//! manual, "UART Memory Map/Register Definition") and Cadence's of Zynq (UG1087, "UART Module").

use core::ptr::NonNull;

use arm_pl011_uart::{
    DataBits, Interrupts, LineConfig, PL011Registers, Parity, StopBits, Uart as Pl011,
    UniqueMmioPointer,
};

/// What serial consoles are set to unless someone says otherwise.
const BAUD_RATE: u32 = 115_200;

/// A kind of UART.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Kind {
    /// Arm's.
    Pl011,
    /// NXP's.
    Imx,
    /// Cadence's.
    Cadence,
}

/// The kinds by their bindings' names.
const BINDINGS: [(&str, Kind); 4] = [
    ("arm,pl011", Kind::Pl011),
    ("fsl,imx6q-uart", Kind::Imx),
    ("cdns,uart-r1p8", Kind::Cadence),
    ("cdns,uart-r1p12", Kind::Cadence),
];

impl Kind {
    /// The kind that a `compatible` names.
    pub fn of<'a>(mut compatible: impl Iterator<Item = &'a str>) -> Option<Self> {
        compatible.find_map(|name| {
            let found = BINDINGS.iter().find(|(binding, _)| *binding == name);
            found.map(|(_, kind)| *kind)
        })
    }

    /// The kind of that number.
    pub(crate) fn of_number(number: u8) -> Self {
        match number {
            1 => Self::Imx,
            2 => Self::Cadence,
            _ => Self::Pl011,
        }
    }
}

/// i.MX: transmitter data, control 1 and 2, test.
mod imx {
    pub const UTXD: u64 = 0x40;
    pub const UCR1: u64 = 0x80;
    pub const UARTEN: u32 = 1 << 0;
    pub const TRDYEN: u32 = 1 << 13;
    pub const UCR2: u64 = 0x84;
    /// Out of reset, sending, eight bits, whatever RTS says.
    pub const SENDING: u32 = 1 << 0 | 1 << 2 | 1 << 5 | 1 << 14;
    pub const UTS: u64 = 0xb4;
    pub const TXFULL: u32 = 1 << 4;
}

/// Cadence: control, interrupts, status, FIFO.
mod cadence {
    pub const CR: u64 = 0x00;
    pub const TXEN: u32 = 1 << 4;
    pub const TXDIS: u32 = 1 << 5;
    pub const IER: u64 = 0x08;
    pub const IDR: u64 = 0x0c;
    pub const ISR: u64 = 0x14;
    pub const TXEMPTY: u32 = 1 << 3;
    pub const SR: u64 = 0x2c;
    pub const TXFULL: u32 = 1 << 4;
    pub const FIFO: u64 = 0x30;
}

/// A UART. It has no state but its registers.
pub(crate) enum Uart {
    /// By its driver.
    Pl011(Pl011<'static>),
    /// By the base of its registers.
    Imx(u64),
    /// The same.
    Cadence(u64),
}

impl Uart {
    /// Returns a driver.
    ///
    /// # Safety
    /// A UART of that kind must be at `base`, mapped as device memory, and no other driver of it in use meanwhile.
    pub(crate) unsafe fn new(kind: Kind, base: NonNull<u8>) -> Self {
        let address = base.as_ptr() as u64;
        match kind {
            // SAFETY: handed on to the caller.
            Kind::Pl011 => Self::Pl011(Pl011::new(unsafe {
                UniqueMmioPointer::new(base.cast::<PL011Registers>())
            })),
            Kind::Imx => Self::Imx(address),
            Kind::Cadence => Self::Cadence(address),
        }
    }

    /// Turns it on for sending. A PL011 whose clock is known is set to 115200 baud; else the line's rate is left as
    /// firmware or Linux set it.
    pub(crate) fn open(&mut self, clock_hz: Option<u32>) {
        match self {
            Self::Pl011(uart) => {
                let line = LineConfig {
                    data_bits: DataBits::Bits8,
                    parity: Parity::None,
                    stop_bits: StopBits::One,
                };
                if let Some(clock_hz) = clock_hz {
                    uart.set_interrupt_masks(Interrupts::empty());
                    // It refuses clocks that cannot make the rate; then too the line stays as it was.
                    let _ = uart.enable(line, BAUD_RATE, clock_hz);
                }
            }
            // Linux's driver turns both off when it lets go.
            Self::Imx(base) => {
                let base = *base;
                write(base + imx::UCR1, imx::UARTEN);
                write(base + imx::UCR2, imx::SENDING);
            }
            Self::Cadence(base) => {
                let base = *base;
                write(base + cadence::IDR, u32::MAX >> 19);
                let control = read(base + cadence::CR);
                write(
                    base + cadence::CR,
                    control & !cadence::TXDIS | cadence::TXEN,
                );
            }
        }
    }

    /// Whether it can take no byte now.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Pl011(uart) => uart.is_tx_fifo_full(),
            Self::Imx(base) => read(base + imx::UTS) & imx::TXFULL != 0,
            Self::Cadence(base) => read(base + cadence::SR) & cadence::TXFULL != 0,
        }
    }

    /// Sends a byte; not while it is full.
    pub(crate) fn put(&mut self, byte: u8) {
        match self {
            Self::Pl011(uart) => uart.write_word(byte),
            Self::Imx(base) => write(*base + imx::UTXD, byte.into()),
            Self::Cadence(base) => write(*base + cadence::FIFO, byte.into()),
        }
    }

    /// Lets it interrupt when it can take more, or not.
    pub(crate) fn set_send_interrupt(&mut self, enabled: bool) {
        match self {
            Self::Pl011(uart) => uart.set_interrupt_masks(match enabled {
                true => Interrupts::TXI,
                false => Interrupts::empty(),
            }),
            Self::Imx(base) => write(
                *base + imx::UCR1,
                imx::UARTEN | if enabled { imx::TRDYEN } else { 0 },
            ),
            Self::Cadence(base) => {
                let register = if enabled { cadence::IER } else { cadence::IDR };
                write(*base + register, cadence::TXEMPTY);
            }
        }
    }

    /// Takes that interrupt back until it has sent more. An i.MX UART's lasts as long as there is room.
    pub(crate) fn clear_send_interrupt(&mut self) {
        match self {
            Self::Pl011(uart) => uart.clear_interrupts(Interrupts::TXI),
            Self::Imx(_) => {}
            Self::Cadence(base) => write(*base + cadence::ISR, cadence::TXEMPTY),
        }
    }
}

fn read(address: u64) -> u32 {
    // SAFETY: a register of the UART that `Uart::new`'s caller vouched for.
    unsafe { (address as *const u32).read_volatile() }
}

fn write(address: u64, value: u32) {
    // SAFETY: the same.
    unsafe { (address as *mut u32).write_volatile(value) }
}
