//! Runs VRL programs one after the other, as a chain of Vector's `remap` transforms does.
//!
//! `vrl_runner FILE... -- FILE...`: each line of standard input is a record, `{"message": base 16 of
//! its bytes, "received": epoch milliseconds, "peer": text or null, "ordinal": number}`. It becomes
//! the event that Vector's `socket` source makes and goes through the first programs; each program
//! after the `--` then gets what they left. Printed is one line of JSON, the list of those events;
//! in place of one whose program failed stands `{"vrl_error": ..}`.
//!
//! `vrl_runner`: each line is a program as a JSON string; what it evaluates to is printed.
//!
//! A program that does not compile, or compiles with a warning, ends the first form with code 1.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::thread;

use serde_json::{json, Value as Json};
use vrl::compiler::runtime::Runtime;
use vrl::compiler::state::RuntimeState;
use vrl::compiler::{compile, Function, Program, TargetValue, TimeZone};
use vrl::diagnostic::Formatter;
use vrl::value::{ObjectMap, Secrets, Value};

fn main() -> ExitCode {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let fork = files.iter().position(|file| file == "--");
    let fork = fork.unwrap_or(files.len());
    let ends = files.split_off(fork).into_iter().skip(1);
    let count = files.len();
    files.extend(ends);
    let functions = vrl::stdlib::all();
    let done = programs(&files, &functions).and_then(|programs| {
        let (chain, ends) = programs.split_at(count);
        let served = if programs.is_empty() {
            evaluate(&functions)
        } else {
            convert(chain, ends)
        };
        served.map_err(|error| error.to_string())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// Every file compiled, each by a thread of its own.
fn programs(files: &[String], functions: &[Box<dyn Function>]) -> Result<Vec<Program>, String> {
    thread::scope(|scope| {
        let started: Vec<_> = files
            .iter()
            .map(|file| {
                scope.spawn(move || {
                    std::fs::read_to_string(file)
                        .map_err(|error| error.to_string())
                        .and_then(|source| compiled(&source, functions))
                        .map_err(|text| format!("{file}:\n{text}"))
                })
            })
            .collect();
        let joined = started.into_iter().map(|each| each.join());
        joined
            .map(|each| each.unwrap_or_else(|_| Err("a compiler panicked".into())))
            .collect()
    })
}

fn compiled(source: &str, functions: &[Box<dyn Function>]) -> Result<Program, String> {
    let result =
        compile(source, functions).map_err(|faults| Formatter::new(source, faults).to_string())?;
    if result.warnings.is_empty() {
        Ok(result.program)
    } else {
        Err(Formatter::new(source, result.warnings).to_string())
    }
}

/// Programs from standard input, each answered before the next is read.
fn evaluate(functions: &[Box<dyn Function>]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let source: String = serde_json::from_str(&line?)?;
        let answer = answered(compiled(&source, functions).and_then(|program| {
            run(&[program], Value::Object(ObjectMap::new())).map(|(result, _)| result)
        }))?;
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

/// Records from standard input through the programs, shared among as many threads as there are cores.
fn convert(chain: &[Program], ends: &[Program]) -> io::Result<()> {
    let lines = io::stdin().lock().lines().collect::<io::Result<Vec<_>>>()?;
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let share = lines.len().div_ceil(cores).max(1);
    let answers = thread::scope(|scope| {
        let started: Vec<_> = lines
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    part.iter()
                        .map(|line| documents(line, chain, ends))
                        .collect()
                })
            })
            .collect();
        let joined = started.into_iter().map(|each| each.join());
        joined
            .map(|each| each.unwrap_or_else(|_| Err(io::Error::other("a program panicked"))))
            .collect::<io::Result<Vec<Vec<Json>>>>()
    })?;
    let mut output = io::BufWriter::new(io::stdout().lock());
    for answer in answers.iter().flatten() {
        writeln!(output, "{answer}")?;
    }
    output.flush()
}

fn documents(line: &str, chain: &[Program], ends: &[Program]) -> io::Result<Json> {
    let left = run(chain, record(&serde_json::from_str(line)?)?).map(|(_, event)| event);
    let mut answers = Vec::new();
    for end in ends {
        let event = left
            .clone()
            .and_then(|event| run(std::slice::from_ref(end), event));
        answers.push(answered(event.map(|(_, event)| event))?);
    }
    Ok(Json::Array(answers))
}

fn answered(result: Result<Value, String>) -> serde_json::Result<Json> {
    match result {
        Ok(value) => serde_json::to_value(value),
        Err(text) => Ok(json!({ "vrl_error": text })),
    }
}

/// The event that a record comes in as.
fn record(request: &Json) -> io::Result<Value> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let text = request["message"]
        .as_str()
        .ok_or_else(|| bad("message: no text"))?;
    let bytes: Option<Vec<u8>> = (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok())
        .collect();
    let bytes = bytes.ok_or_else(|| bad("message: not base 16"))?;
    let received = request["received"]
        .as_i64()
        .ok_or_else(|| bad("received: no number"))?;
    let mut event = ObjectMap::new();
    event.insert("message".into(), Value::Bytes(bytes.into()));
    let when = chrono::DateTime::from_timestamp_millis(received)
        .ok_or_else(|| bad("received: out of range"))?;
    event.insert("timestamp".into(), Value::Timestamp(when));
    if let Some(peer) = request["peer"].as_str() {
        event.insert("host".into(), peer.into());
    }
    if let Some(ordinal) = request["ordinal"].as_i64() {
        event.insert("ordinal".into(), ordinal.into());
    }
    event.insert("source_type".into(), "socket".into());
    Ok(Value::Object(event))
}

/// What the last program evaluates to, and the event as all of them leave it.
fn run(programs: &[Program], event: Value) -> Result<(Value, Value), String> {
    let mut target = TargetValue {
        value: event,
        metadata: Value::Object(ObjectMap::new()),
        secrets: Secrets::new(),
    };
    let mut result = Value::Null;
    for program in programs {
        let mut runtime = Runtime::new(RuntimeState::default());
        result = runtime
            .resolve(&mut target, program, &TimeZone::default())
            .map_err(|error| error.to_string())?;
    }
    Ok((result, target.value))
}
