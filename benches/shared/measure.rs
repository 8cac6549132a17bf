//! What all benches measure with.

/// Whose processor time is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Whose {
    Mine,
    /// Of processes that have ended.
    Children,
}

/// `proc_pid_stat(5)`: `utime`, `stime`, `cutime` and `cstime` are the fields 14 to 17, in hundredths of a second.
pub(crate) fn processor_seconds(whose: Whose) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The second field is the program's name in parentheses and may hold anything.
    let fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace();
    let first = match whose {
        Whose::Mine => 11,
        Whose::Children => 13,
    };
    let ticks = fields.skip(first).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / 100.0
}

/// The value in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
