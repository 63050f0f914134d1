//! Bytes: a sink that has a bound, a cursor that trusts nothing, and the codes of small enumerations.

use super::PIECE_BYTES;
use crate::call::{EndReason, IoFault, LinkState, StopReason};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// How much memory a log asks for at a time, at the least, in bytes: for a piece, and for a message behind it, so that a
/// log that is taken out piece by piece is not moved while it grows.
const CHUNK_BYTES: usize = PIECE_BYTES + 16 * 1024;

/// Bytes that are written one behind the other, up to a bound. What does not fit is not written at all, and nothing is
/// after it.
#[derive(Debug)]
pub struct Sink {
    bytes: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl Sink {
    /// An empty one that never holds more than `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, is_full: false }
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How much is in it.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether something did not fit.
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Takes out what is in it.
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.bytes)
    }

    /// Forgets what was written behind the first `len` bytes, and that something did not fit.
    pub fn back_to(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.is_full = false;
    }

    /// Lets it hold so many bytes more.
    pub const fn grow(&mut self, bytes: usize) {
        self.limit = self.limit.saturating_add(bytes);
    }

    /// Writes bytes as they are.
    pub fn put(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.bytes.len());
        if self.is_full || bytes.len() > room {
            self.is_full = true;
            return;
        }
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            // Twice as much each time, so that moving it costs little in all; but not beyond the bound.
            let more = bytes.len().max(self.bytes.capacity()).max(CHUNK_BYTES);
            self.bytes.reserve_exact(more.min(room));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes one byte.
    pub fn byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    /// Writes a number: seven bits in a byte, the lowest first.
    pub fn number(&mut self, number: impl Into<u64>) {
        let mut rest: u64 = number.into();
        while rest >= 0x80 {
            self.byte(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.byte(rest as u8);
    }

    /// Writes a length and so many bytes. More than `max` could not be read back, and do not fit.
    pub fn block(&mut self, bytes: &[u8], max: usize) {
        if bytes.len() > max {
            self.is_full = true;
        }
        self.number(bytes.len() as u64);
        self.put(bytes);
    }

    /// Writes the code of a value.
    pub fn code(&mut self, value: impl Coded) {
        self.byte(value.code());
    }

    /// Writes an address: 4 or 6, the address, the port, and for IPv6 flow and scope.
    pub fn address(&mut self, address: SocketAddr) {
        match address {
            SocketAddr::V4(address) => {
                self.byte(4);
                self.put(&address.ip().octets());
                self.put(&address.port().to_be_bytes());
            }
            SocketAddr::V6(address) => {
                self.byte(6);
                self.put(&address.ip().octets());
                self.put(&address.port().to_be_bytes());
                self.number(address.flowinfo());
                self.number(address.scope_id());
            }
        }
    }
}

/// Why something could not be read.
#[derive(PartialEq, Eq, Debug)]
pub enum Bad {
    /// The bytes end before it does.
    Ends,
    /// It cannot be.
    Wrong(&'static str),
    /// JSON cannot be read, or says what cannot be.
    Json {
        /// What the JSON is.
        what: &'static str,
        /// Where, and why.
        error: String,
    },
}

/// Reads what a [`Sink`] has written, or what somebody pretends that it has.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the begin.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    pub const fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Reads so many bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Bad> {
        let end = self.at.checked_add(len).ok_or(Bad::Ends)?;
        let bytes = self.bytes.get(self.at..end).ok_or(Bad::Ends)?;
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        self.take(N)?.try_into().map_err(|_| Bad::Ends)
    }

    /// Reads one byte.
    pub fn byte(&mut self) -> Result<u8, Bad> {
        self.array().map(|[byte]| byte)
    }

    /// Reads eight bytes as a number.
    pub fn eight(&mut self) -> Result<u64, Bad> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads a number.
    pub fn number(&mut self) -> Result<u64, Bad> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            // The tenth byte has room for one bit.
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Bad::Wrong("a number is longer than 64 bits"))
    }

    /// Reads a number that fits a smaller type.
    pub fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Bad> {
        T::try_from(self.number()?).map_err(|_| Bad::Wrong("a number is too large for what it is"))
    }

    /// Reads a length and so many bytes, at most `max`.
    pub fn block(&mut self, max: usize) -> Result<&'a [u8], Bad> {
        let len: usize = self.small()?;
        if len > max {
            return Err(Bad::Wrong("something is longer than it can be"));
        }
        self.take(len)
    }

    /// Reads a value by its code.
    pub fn code<T: Coded>(&mut self) -> Result<T, Bad> {
        T::of_code(self.byte()?).ok_or(Bad::Wrong(T::UNKNOWN))
    }

    /// Reads an address.
    pub fn address(&mut self) -> Result<SocketAddr, Bad> {
        match self.byte()? {
            4 => {
                let ip = Ipv4Addr::from(self.array::<4>()?);
                Ok(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be_bytes(self.array()?))))
            }
            6 => {
                let ip = Ipv6Addr::from(self.array::<16>()?);
                let port = u16::from_be_bytes(self.array()?);
                let (flow, scope) = (self.small()?, self.small()?);
                Ok(SocketAddr::V6(SocketAddrV6::new(ip, port, flow, scope)))
            }
            _ => Err(Bad::Wrong("an address is neither IPv4 nor IPv6")),
        }
    }
}

/// A small enumeration of which each value has a byte of its own.
pub trait Coded: Sized {
    /// What is said of a code that no value has.
    const UNKNOWN: &'static str;

    /// The code.
    fn code(self) -> u8;

    /// The value of that code.
    fn of_code(code: u8) -> Option<Self>;
}

macro_rules! coded {
    ($name:ident, $unknown:literal, { $($code:literal => $value:ident,)* }) => {
        impl Coded for $name {
            const UNKNOWN: &'static str = $unknown;

            fn code(self) -> u8 {
                match self {
                    $(Self::$value => $code,)*
                }
            }

            fn of_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$value),)*
                    _ => None,
                }
            }
        }
    };
}

coded!(LinkState, "a state of the event socket is unknown", { 0 => Down, 1 => Up, });

coded!(IoFault, "a fault is unknown", {
    1 => Resolve,
    2 => Refused,
    3 => TimedOut,
    4 => Reset,
    5 => Tls,
    6 => Protocol,
    7 => Backlog,
    8 => NoPort,
    9 => Other,
});

coded!(StopReason, "a reason to stop is unknown", {
    1 => Shutdown,
    2 => AtOnce,
    3 => AsteriskRestarted,
    4 => CallerLeft,
});

coded!(EndReason, "a reason of the end of a call is unknown", {
    1 => CallerHungUp,
    2 => AgentHungUp,
    3 => Transferred,
    4 => CallerIdle,
    5 => MaxDuration,
    6 => Shutdown,
    7 => NotReadyInTime,
    8 => AriFault,
    9 => MediaFault,
    10 => RealtimeRefused,
    11 => RealtimeLost,
    12 => DeadAir,
    13 => AnswersFailed,
    14 => AsteriskRestarted,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_read_back() {
        let mut sink = Sink::new(usize::MAX);
        let edges = (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) - 1]).chain([u64::MAX]);
        edges.clone().for_each(|number| sink.number(number));
        let mut cursor = Cursor::new(sink.bytes());
        edges.for_each(|number| assert_eq!(cursor.number(), Ok(number)));
        assert!(cursor.is_at_end());
    }

    #[test]
    fn a_number_that_is_none_is_refused() {
        let too_long = [0x80; 11];
        let too_large = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02];
        for bytes in [&too_long[..], &too_large] {
            assert!(matches!(Cursor::new(bytes).number(), Err(Bad::Wrong(_))), "{bytes:?}");
        }
        assert_eq!(Cursor::new(&[0x80, 0x80]).number(), Err(Bad::Ends));
        assert!(matches!(Cursor::new(&[0x80, 0x02]).small::<u8>(), Err(Bad::Wrong(_))));
    }

    #[test]
    fn what_does_not_fit_a_sink_is_not_begun() {
        let mut sink = Sink::new(5);
        sink.put(b"abc");
        let before = sink.len();
        sink.block(b"de", 2);
        sink.byte(b'f');
        assert!(sink.is_full() && sink.bytes.capacity() <= 5);
        sink.back_to(before);
        sink.put(b"gh");
        assert_eq!((sink.bytes(), sink.is_full()), (&b"abcgh"[..], false));
    }
}
