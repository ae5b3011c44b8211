//! Sealing and opening messages of usual sizes. `cargo bench -p ghmesh-seal`

use criterion::{Criterion, Throughput};
use ghmesh_seal::{Cost, NONCE_BYTES, Purpose, Secret, derive};
use std::hint::black_box;

/// A gossip record without a body, and one with the largest body that is sent along.
const SIZES: [usize; 2] = [1024, 16 * 1024];

/// JSON that compresses about as GitHub's does.
fn message(bytes: usize) -> Vec<u8> {
    let object = |number: u64| {
        let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(
            "{{\"id\":{id},\"node_id\":\"MDU6{id:x}\",\"url\":\"https://api.github.com/repos/o/r/issues/{number}\"}},"
        )
    };
    (0..).flat_map(|number| object(number).into_bytes()).take(bytes).collect()
}

fn main() {
    let ring = derive(&Secret::new(b"a secret for a benchmark".to_vec()), "bench", Cost::TEST);
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("envelope");
    for bytes in SIZES {
        let message = message(bytes);
        let sealed = ring.seal(Purpose::Gossip, [7; NONCE_BYTES], &message);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("seal {bytes} bytes"), |bencher| {
            bencher.iter(|| ring.seal(Purpose::Gossip, [7; NONCE_BYTES], black_box(&message)));
        });
        group.bench_function(format!("open {bytes} bytes"), |bencher| {
            bencher.iter(|| ring.open(Purpose::Gossip, black_box(&sealed), bytes));
        });
    }
    group.finish();
    criterion.final_summary();
}
