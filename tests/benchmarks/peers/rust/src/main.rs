//! VRL's `parse_cef`: decodes every line of a file and writes the object as JSON, round after round.
//! Prints events a second of the best round, and how many lines gave an object.

use std::time::Instant;

use vrl::compiler::runtime::Runtime;
use vrl::compiler::state::RuntimeState;
use vrl::compiler::{compile, TargetValue, TimeZone};
use vrl::value::{ObjectMap, Secrets, Value};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let content = std::fs::read(&args[1]).expect("a file of lines");
    let lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let rounds: usize = args[2].parse().expect("a number of rounds");
    let program = compile(". = parse_cef!(.message)", &vrl::stdlib::all()).expect("a program").program;
    let zone = TimeZone::default();
    let (mut best, mut good) = (0.0_f64, 0);
    for _ in 0..rounds {
        good = 0;
        let begun = Instant::now();
        for line in &lines {
            let mut event = ObjectMap::new();
            event.insert("message".into(), Value::from(*line));
            let mut target = TargetValue {
                value: Value::Object(event),
                metadata: Value::Object(ObjectMap::new()),
                secrets: Secrets::new(),
            };
            let mut runtime = Runtime::new(RuntimeState::default());
            if runtime.resolve(&mut target, &program, &zone).is_ok() {
                std::hint::black_box(serde_json::to_vec(&target.value).expect("JSON"));
                good += 1;
            }
        }
        best = best.max(lines.len() as f64 / begun.elapsed().as_secs_f64());
    }
    println!("{best:.0} {good}");
}
