//! UDP (RFC 768) over IPv4 (RFC 791) or IPv6 (RFC 8200), with the checksums that the network cards filled in.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const UDP: u8 = 17;
const UDP_HEADER_BYTES: u16 = 8;
const IPV4_HEADER_BYTES: u16 = 20;
const HOPS: u8 = 64;

/// Appends the packet. If only one of the addresses is of IPv4, it is shown as an IPv6 one.
pub(super) fn write(from: SocketAddr, to: SocketAddr, payload: &[u8], out: &mut Vec<u8>) {
    // A datagram is far shorter than a UDP packet may be.
    let length = UDP_HEADER_BYTES.saturating_add(u16::try_from(payload.len()).unwrap_or(u16::MAX));
    let pseudo = match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ipv4(source, destination, length, out);
            let mut pseudo = Sum::default();
            pseudo.add(&source.octets());
            pseudo.add(&destination.octets());
            pseudo
        }
        (source, destination) => {
            let (source, destination) = (as_ipv6(source), as_ipv6(destination));
            ipv6(source, destination, length, out);
            let mut pseudo = Sum::default();
            pseudo.add(&source.octets());
            pseudo.add(&destination.octets());
            pseudo
        }
    };
    udp([from.port(), to.port()], length, pseudo, payload, out);
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, length: u16, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0x45, 0]);
    out.extend_from_slice(&IPV4_HEADER_BYTES.saturating_add(length).to_be_bytes());
    // No fragment, and not to be made one.
    out.extend_from_slice(&[0, 0, 0x40, 0, HOPS, UDP, 0, 0]);
    out.extend_from_slice(&source.octets());
    out.extend_from_slice(&destination.octets());
    let mut sum = Sum::default();
    sum.add(out.get(start..).unwrap_or_default());
    put(out, start + 10, sum.checksum());
}

fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, length: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x60, 0, 0, 0]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&[UDP, HOPS]);
    out.extend_from_slice(&source.octets());
    out.extend_from_slice(&destination.octets());
}

fn udp(ports: [u16; 2], length: u16, mut sum: Sum, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    for number in [ports[0], ports[1], length, 0] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(payload);
    sum.add(&[0, UDP]);
    sum.add(&length.to_be_bytes());
    sum.add(out.get(start..).unwrap_or_default());
    // Zero says that there is no checksum.
    let checksum = Some(sum.checksum()).filter(|sum| *sum != 0).unwrap_or(u16::MAX);
    put(out, start + 6, checksum);
}

fn put(out: &mut [u8], at: usize, number: u16) {
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&number.to_be_bytes());
    }
}

/// The sum of the Internet checksum (RFC 1071).
#[derive(Clone, Copy, Default)]
struct Sum(u32);

impl Sum {
    /// Adds bytes. Only the last may be of odd length, and all together are less than 128 KiB.
    fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<2>();
        self.0 += words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum::<u32>();
        self.0 += rest.first().map_or(0, |byte| u32::from(*byte) << 8);
    }

    const fn checksum(self) -> u16 {
        let folded = (self.0 & 0xFFFF) + (self.0 >> 16);
        !(folded as u16).wrapping_add((folded >> 16) as u16)
    }
}
