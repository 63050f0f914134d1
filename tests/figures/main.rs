//! The figures of the media path: measured, printed and held to their bounds.
//!
//! `cargo test -p ari-bridge-tests --test figures`. Everything here is audio time and arithmetic; nothing
//! depends on how fast the machine is. What does is in `cargo bench`.

mod echo;
mod filters;
mod loss;
mod timing;
mod tone;

/// A figure, its bound, and whether it keeps it.
struct Report {
    failures: usize,
}

impl Report {
    fn title(&self, text: &str) {
        println!("\n{text}");
    }

    /// Prints a figure and notes whether it is good.
    fn figure(&mut self, name: &str, value: f64, unit: &str, bound: &str, is_good: bool) {
        let mark = if is_good { "ok" } else { "FAILED" };
        println!("  {name:<66} {value:>9.2} {unit:<8} {bound:<14} {mark}");
        self.failures += usize::from(!is_good);
    }

    fn at_least(&mut self, name: &str, value: f64, unit: &str, bound: f64) {
        self.figure(name, value, unit, &format!(">= {bound}"), value >= bound);
    }

    fn at_most(&mut self, name: &str, value: f64, unit: &str, bound: f64) {
        self.figure(name, value, unit, &format!("<= {bound}"), value <= bound);
    }
}

fn main() {
    let mut report = Report { failures: 0 };
    filters::measure(&mut report);
    loss::measure(&mut report);
    timing::measure(&mut report);
    echo::measure(&mut report);
    println!();
    let failed = report.failures;
    println!(
        "test result: {}. {failed} figures out of their bounds",
        if failed == 0 { "ok" } else { "FAILED" }
    );
    std::process::exit(i32::from(failed > 0));
}
