//! Address ranges.
use std::net::IpAddr;

/// A range of addresses, `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    net: IpAddr,
    // Invariant: at most 32 for IPv4, 128 for IPv6.
    bits: u32,
}

impl Cidr {
    /// Reads `10.0.0.0/8`, `10.1.2.3`, `2001:db8::/32`; `None` when it is none of these. Host bits may be set.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) => {
                (address, Some(bits.parse::<u32>().ok()?))
            }
            Some(_) => return None,
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return None;
        }
        match (address.to_canonical(), address, bits.checked_sub(96)) {
            // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
            (net @ IpAddr::V4(_), IpAddr::V6(_), Some(bits)) => Some(Self { net, bits }),
            _ => Some(Self { net: address, bits }),
        }
    }

    /// Whether a canonical address is in the range.
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        match (self.net, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let differ = u32::from(net) ^ u32::from(ip);
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let differ = u128::from(net) ^ u128::from(ip);
                differ.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}
