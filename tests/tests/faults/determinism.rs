//! One seed, one history: otherwise a failure of the other tests could not be repeated.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::many::each;
use crate::shop::{Image, Shop, undisturbed};

const SEEDS: u64 = 30;

/// Everything that happened: every call with its time and outcome, every event, and the ledger.
fn history(seed: u64, image: Image) -> (Vec<String>, Shop, String) {
    let mut shop = Shop::open(seed);
    let digest = shop.deploy(image);
    let world = shop.lab.world();
    let calls = world.calls().iter().map(|call| format!("{call:?}"));
    let events = world.events().iter().map(ToString::to_string);
    let records = shop
        .items("esclusa-ledger")
        .into_iter()
        .map(|record| record.to_string());
    let history = calls.chain(events).chain(records).collect();
    (history, shop, digest)
}

#[test]
fn the_same_seed_gives_the_same_history_to_the_last_byte() {
    for image in [Image::Good, Image::CrashingWeb] {
        let (first, ..) = history(7, image);
        let (second, ..) = history(7, image);
        let differs = first.iter().zip(&second).find(|(first, second)| first != second);
        assert_eq!(differs, None, "{image:?}");
        assert_eq!(first.len(), second.len(), "{image:?}");
    }
}

/// Latencies, interleavings and durations are others with every seed; the end is not.
#[test]
fn another_seed_gives_another_history_with_the_same_end() {
    let orders = Mutex::new(BTreeSet::new());
    let seeds: Vec<u64> = (1..=SEEDS).collect();
    each(&seeds, |seed| {
        let (_, mut shop, digest) = history(*seed, Image::Good);
        let observed = shop.observe(&digest);
        let calls = shop.lab.world().calls().iter();
        let order: Vec<_> = calls
            .map(|call| (call.function.clone(), call.operation.clone()))
            .collect();
        orders.lock().unwrap().insert(order);
        let is_same = &observed.end == undisturbed(Image::Good) && observed.problems.is_empty();
        (!is_same).then(|| format!("seed {seed}: {observed:#?}"))
    });
    let orders = orders.into_inner().unwrap().len();
    assert!(orders > 25, "{SEEDS} seeds gave only {orders} orders of calls");
}
