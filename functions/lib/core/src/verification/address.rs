//! Addresses that a check must not ask.

use std::net::{IpAddr, Ipv6Addr};

/// Whether an address is one at which a function finds itself, its credentials or its metadata, and no service of
/// anybody: this host, link-local addresses (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html>) and the IPv6 address of the metadata service. Private addresses
/// are allowed: an internal load balancer has one.
#[must_use]
pub fn is_forbidden(address: IpAddr) -> bool {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local() || address.is_unspecified(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unspecified() || address.is_unicast_link_local() || address == METADATA
        }
    }
}

/// Whether the host of an address, as it is written, is such an address or the name of this host.
#[must_use]
pub fn is_forbidden_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_where_a_function_finds_itself() {
        for host in [
            "localhost",
            "127.0.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "0.0.0.0",
            "[::1]",
            "[fd00:ec2::254]",
            "[::ffff:127.0.0.1]",
            "[fe80::1]",
        ] {
            assert!(is_forbidden_host(host), "{host}");
        }
        for host in [
            "api.example.com",
            "10.0.3.7",
            "192.168.1.5",
            "[fd12:3456::1]",
            "93.184.216.34",
        ] {
            assert!(!is_forbidden_host(host), "{host}");
        }
    }
}
