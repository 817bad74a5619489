//! Which ports a deployment takes.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    id::{ServerId, SgcId},
    model::{
        Invalid, Port, PortAsk, PortBinding, PortNeed, Protocol, deployment::PortRequest, port::MAX_PORTS,
    },
    store::DeedError,
};

/// Refuses requests that do not name just the ports that the config needs, each once.
pub fn ports_cover(needs: &[PortNeed], asked: &[PortRequest]) -> Result<(), DeedError> {
    if asked.len() > MAX_PORTS {
        let problem = format!("has {} entries, {MAX_PORTS} are allowed", asked.len());
        return Err(Invalid::new("ports", problem).into());
    }
    let mut open: BTreeSet<PortNeed> = needs.iter().copied().collect();
    for request in asked {
        let need = PortNeed { container_port: request.container_port, protocol: request.protocol };
        let shown = format!("{}/{}", need.container_port, need.protocol);
        if !open.remove(&need) {
            let problem = if needs.contains(&need) { "is bound twice" } else { "is not needed" };
            return Err(DeedError::PortsDiffer(format!("{shown} {problem}")));
        }
    }
    match open.first() {
        Some(need) => {
            Err(DeedError::PortsDiffer(format!("{}/{} is not bound", need.container_port, need.protocol)))
        }
        None => Ok(()),
    }
}

/// The ports of a deployment of `server` that has `bound` and is to have `needs`, `asked`
/// for as far as they are named; `None` if they are those it has. What is not named stays
/// where it is, or is taken by the number it has inside; `others` is what is held by others.
pub fn ports_change(
    server: ServerId,
    others: &BTreeMap<(Port, Protocol), SgcId>,
    needs: &[PortNeed],
    bound: &[PortBinding],
    asked: &[PortRequest],
) -> Result<Option<Vec<PortBinding>>, DeedError> {
    let asked = ports_kept(needs, bound, asked);
    ports_cover(needs, &asked)?;
    let ports = ports_take(server, others, &asked)?;
    let stands = ports.len() == bound.len() && ports.iter().all(|port| bound.contains(port));
    Ok((!stands).then_some(ports))
}

fn ports_kept(needs: &[PortNeed], bound: &[PortBinding], asked: &[PortRequest]) -> Vec<PortRequest> {
    let now = |port: Port, protocol: Protocol| {
        let it = bound.iter().find(|it| (it.container_port, it.protocol) == (port, protocol));
        it.map(|it| it.host_port)
    };
    let named = asked.iter().map(|&ask| match (ask.ask, now(ask.container_port, ask.protocol)) {
        // Any of them would do: the one that players know.
        (PortAsk::AnyOf(first, last), Some(port)) if (first..=last).contains(&port) => {
            PortRequest { ask: PortAsk::Number(port), ..ask }
        }
        _ => ask,
    });
    let rest = needs.iter().filter(|need| {
        !asked.iter().any(|ask| (ask.container_port, ask.protocol) == (need.container_port, need.protocol))
    });
    let rest = rest.map(|need| PortRequest {
        container_port: need.container_port,
        protocol: need.protocol,
        ask: PortAsk::Number(now(need.container_port, need.protocol).unwrap_or(need.container_port)),
    });
    named.chain(rest).collect()
}

/// Chooses the ports of `server` for `asked`, all or none, beside those in `held`.
/// If there is a way to serve all, one is found; of a range the lowest that fits.
pub fn ports_take(
    server: ServerId,
    held: &BTreeMap<(Port, Protocol), SgcId>,
    asked: &[PortRequest],
) -> Result<Vec<PortBinding>, DeedError> {
    let mut ranges = Vec::new();
    let mut numbers = BTreeSet::new();
    for (index, request) in asked.iter().enumerate() {
        let (first, last) = match request.ask {
            PortAsk::Number(port) => (port, port),
            PortAsk::AnyOf(first, last) => (first, last),
        };
        let wrong = |problem: String| Err(Invalid::new(format!("ports[{index}]"), problem).into());
        if last < first {
            return wrong(format!("the range {first} to {last} is reversed"));
        }
        if first == last && !numbers.insert((first, request.protocol)) {
            return wrong(format!("{first}/{} is asked for twice", request.protocol));
        }
        ranges.push((last, std::cmp::Reverse(first), index));
    }
    // By where they end, narrowest first, each the lowest free one: this finds a way wherever there is one
    // (Glover 1967, matching in convex bipartite graphs), and needs no looking back.
    ranges.sort();
    let mut taken = BTreeSet::new();
    let mut chosen = vec![None; asked.len()];
    for (last, std::cmp::Reverse(first), index) in ranges {
        let request = &asked[index];
        let protocol = request.protocol;
        let free = (first.get()..=last.get())
            .filter_map(|number| Port::try_from(i64::from(number)).ok())
            .find(|&port| !held.contains_key(&(port, protocol)) && !taken.contains(&(port, protocol)));
        let Some(host_port) = free else {
            return Err(match (request.ask, held.get(&(first, protocol))) {
                (PortAsk::Number(port), Some(&holder)) => {
                    DeedError::PortTaken { port, protocol, server, holder }
                }
                _ => DeedError::NoPortFree { first, last, protocol, server },
            });
        };
        taken.insert((host_port, protocol));
        chosen[index] = Some(PortBinding { container_port: request.container_port, host_port, protocol });
    }
    Ok(chosen.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: i64) -> Port {
        Port::try_from(number).unwrap()
    }

    fn ask(container: i64, ask: PortAsk) -> PortRequest {
        PortRequest { container_port: port(container), protocol: Protocol::Udp, ask }
    }

    fn range(container: i64, first: i64, last: i64) -> PortRequest {
        ask(container, PortAsk::AnyOf(port(first), port(last)))
    }

    fn number(container: i64, host: i64) -> PortRequest {
        ask(container, PortAsk::Number(port(host)))
    }

    fn held(numbers: &[i64]) -> BTreeMap<(Port, Protocol), SgcId> {
        numbers.iter().map(|&number| ((port(number), Protocol::Udp), SgcId(9))).collect()
    }

    fn take(taken: &[i64], asked: &[PortRequest]) -> Result<Vec<u16>, DeedError> {
        let bindings = ports_take(ServerId(1), &held(taken), asked)?;
        Ok(bindings.into_iter().map(|binding| binding.host_port.get()).collect())
    }

    #[test]
    fn the_lowest_free_one_is_taken_in_the_order_asked() {
        assert_eq!(take(&[10], &[range(1, 10, 20), range(2, 10, 20)]).unwrap(), [11, 12]);
        assert_eq!(take(&[], &[range(1, 65535, 65535)]).unwrap(), [65535]);
    }

    #[test]
    fn a_held_port_names_its_holder() {
        let error = take(&[10], &[number(1, 10)]).unwrap_err();
        assert!(matches!(error, DeedError::PortTaken { holder: SgcId(9), .. }), "{error:?}");
        let error = take(&[10, 11], &[range(1, 10, 11)]).unwrap_err();
        assert!(matches!(error, DeedError::NoPortFree { .. }), "{error:?}");
        // The other protocol is another port.
        let tcp = PortRequest { protocol: Protocol::Tcp, ..number(1, 10) };
        assert_eq!(take(&[10], &[tcp]).unwrap(), [10]);
    }

    #[test]
    fn a_way_is_found_wherever_there_is_one() {
        // All small cases, against trying everything.
        let spans: Vec<(i64, i64)> = (1..=4).flat_map(|a| (a..=4).map(move |b| (a, b))).collect();
        for &a in &spans {
            for &b in &spans {
                for &c in &spans {
                    let all = [a, b, c];
                    let twice = (0..3).any(|i| (0..i).any(|j| all[i] == all[j] && all[i].0 == all[i].1));
                    let possible = (a.0..=a.1)
                        .any(|x| (b.0..=b.1).any(|y| (c.0..=c.1).any(|z| x != y && y != z && x != z)));
                    let asked = [range(1, a.0, a.1), range(2, b.0, b.1), range(3, c.0, c.1)];
                    match take(&[], &asked) {
                        Ok(ports) => {
                            assert!(possible && ports.iter().collect::<BTreeSet<_>>().len() == 3);
                            for (port, span) in ports.iter().zip(all) {
                                assert!((span.0..=span.1).contains(&i64::from(*port)), "{all:?} {ports:?}");
                            }
                        }
                        Err(error) => assert!(!possible || twice, "{all:?} {error}"),
                    }
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for asked in [[range(1, 20, 10), range(2, 1, 2)], [number(1, 10), number(2, 10)]] {
            assert!(matches!(take(&[], &asked), Err(DeedError::Invalid(_))), "{asked:?}");
        }
    }

    #[test]
    fn what_is_bound_stays_where_it_is() {
        let needs = [1, 2, 3].map(|n| PortNeed { container_port: port(n), protocol: Protocol::Udp });
        let bound = [(1, 10), (2, 20)].map(|(inside, host)| PortBinding {
            container_port: port(inside),
            host_port: port(host),
            protocol: Protocol::Udp,
        });
        let change = |needs: &[PortNeed], asked: &[PortRequest]| {
            let ports = ports_change(ServerId(1), &held(&[3, 99]), needs, &bound, asked)?;
            let hosts =
                |ports: Vec<PortBinding>| ports.iter().map(|it| it.host_port.get()).collect::<Vec<_>>();
            Ok::<_, DeedError>(ports.map(hosts))
        };
        assert_eq!(change(&needs[..2], &[]).unwrap(), None);
        assert_eq!(change(&needs[..2], &[range(2, 15, 25)]).unwrap(), None, "the one that players know");
        assert_eq!(change(&needs[..2], &[range(2, 30, 35)]).unwrap(), Some(vec![30, 10]));
        assert_eq!(change(&needs[..1], &[]).unwrap(), Some(vec![10]));
        assert_eq!(change(&needs, &[number(3, 4)]).unwrap(), Some(vec![4, 10, 20]));
        assert!(matches!(change(&needs, &[]), Err(DeedError::PortTaken { .. })));
        assert!(matches!(change(&needs[..1], &[number(2, 20)]), Err(DeedError::PortsDiffer(_))));
    }

    #[test]
    fn requests_name_just_what_is_needed() {
        let needs = [1, 2].map(|n| PortNeed { container_port: port(n), protocol: Protocol::Udp });
        assert!(ports_cover(&needs, &[number(2, 20), number(1, 10)]).is_ok());
        let text = |asked: &[PortRequest]| ports_cover(&needs, asked).unwrap_err().to_string();
        assert!(text(&[number(1, 10)]).ends_with("2/UDP is not bound"));
        assert!(text(&[number(1, 10), number(1, 11)]).ends_with("1/UDP is bound twice"));
        assert!(text(&[number(3, 10)]).ends_with("3/UDP is not needed"));
        assert!(ports_cover(&needs, &vec![number(1, 1); 65]).is_err());
    }
}
