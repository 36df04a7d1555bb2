//! The range of an axis, its ticks and their labels.

/// How values are laid out along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences, equal lengths.
    Linear,
    /// Equal ratios, equal lengths.
    Log,
}

impl Scale {
    /// Whether a value has a place on the axis. Beyond 1e300 a linear range would overflow.
    pub(super) fn holds(self, value: f64) -> bool {
        match self {
            Scale::Linear => value.abs() <= 1e300,
            Scale::Log => value > 0.0 && value.is_finite(),
        }
    }

    fn apply(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.log10(),
        }
    }
}

/// A place on an axis with its label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// From 0 (start of the axis) to 1 (its end).
    pub position: f64,
    pub label: String,
}

/// An axis that holds all its values.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    pub ticks: Vec<Tick>,
}

/// Ticks aimed at.
const TICKS: f64 = 5.0;

impl Axis {
    /// The axis of the given values, all of which [`Scale::holds`]; there must be at least one. `whole` keeps the ticks
    /// of a linear axis at whole numbers.
    pub fn new(scale: Scale, whole: bool, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high, marks) = match scale {
            Scale::Linear => linear_marks(low, high, whole),
            Scale::Log => log_marks(low, high),
        };
        let mut axis = Self { scale, low: scale.apply(low), high: scale.apply(high), ticks: Vec::new() };
        axis.ticks =
            marks.into_iter().map(|(value, label)| Tick { position: axis.position(value), label }).collect();
        axis
    }

    /// Where a value lies, from 0 to 1.
    pub fn position(&self, value: f64) -> f64 {
        ((self.scale.apply(value) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// Range and ticks of a linear axis: multiples of 1, 2 or 5 times a power of ten, and the range ends on one.
fn linear_marks(mut low: f64, mut high: f64, whole: bool) -> (f64, f64, Vec<(f64, String)>) {
    // a nearly constant series gets a range in which its digits can still be told apart
    let least = 1e-9 * low.abs().max(high.abs());
    if high - low <= least {
        let half = if least > 0.0 { 0.1 * high.abs() } else { 1.0 };
        (low, high) = if whole && high.abs() < 1e9 { (low, low + 1.0) } else { (low - half, high + half) };
    }
    let step = round_step((high - low) / TICKS);
    let step = if whole { step.max(1.0) } else { step };
    let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
    let count = (last - first).round() as usize;
    let marks =
        (0..=count).map(|i| (first + i as f64) * step).map(|value| (value, linear_label(value, step)));
    (first * step, last * step, marks.collect())
}

/// The smallest of 1, 2, 5, 10 times a power of ten that is at least `length`.
fn round_step(length: f64) -> f64 {
    let decade = 10f64.powf(length.log10().floor());
    [1.0, 2.0, 5.0]
        .map(|factor| factor * decade)
        .into_iter()
        .find(|&step| step >= length * 0.999)
        .unwrap_or(10.0 * decade)
}

/// A tick's value with the digits that its step needs.
fn linear_label(value: f64, step: f64) -> String {
    let value = if value.abs() < 1e-9 * step { 0.0 } else { value };
    let digits = -(step.log10() + 1e-9).floor();
    if value == 0.0 {
        "0".to_string()
    } else if value.abs() >= 1e6 || (digits > 6.0 && value.abs() < 1e-3) {
        let precision = (value.abs().log10().floor() + digits).clamp(0.0, 15.0) as usize;
        format!("{value:.precision$e}")
    } else {
        format!("{value:.*}", digits.clamp(0.0, 12.0) as usize)
    }
}

/// Range and ticks of a logarithmic axis: powers of ten, or 1, 2, 5 times them where it spans few.
fn log_marks(low: f64, high: f64) -> (f64, f64, Vec<(f64, String)>) {
    let mut first = below(low);
    let mut last = above(high);
    if first == last {
        (first, last) = (first - 1, last + 1);
    }
    let decades = (last - first) as f64 / 3.0;
    let kept: Vec<i32> = if decades <= 2.0 {
        (first..=last).collect()
    } else {
        let stride = (decades / (TICKS + 1.0)).ceil() as i32;
        (first..=last).filter(|mark| mark % (3 * stride) == 0).collect()
    };
    // 0.05 and 200 read better than 5e-2 and 2e2, where all ticks are numbers of that size
    let plain = kept.iter().all(|mark| (-6..=12).contains(mark));
    let label = |mark: i32| if plain { mark_value(mark).to_string() } else { mark_label(mark) };
    let marks = kept.into_iter().map(|mark| (mark_value(mark), label(mark))).collect();
    (mark_value(first), mark_value(last), marks)
}

/// Marks are numbered: mark 3k + (0, 1, 2) stands for (1, 2, 5) times 10^k.
fn mark_value(mark: i32) -> f64 {
    let text = mark_label(mark);
    // the decimal text gives the nearest double; ends of the range of doubles are kept inside it
    text.parse::<f64>().unwrap_or(1.0).clamp(f64::from_bits(1), f64::MAX)
}

fn mark_label(mark: i32) -> String {
    format!("{}e{}", [1, 2, 5][mark.rem_euclid(3) as usize], mark.div_euclid(3))
}

/// The largest mark at or below a value.
fn below(value: f64) -> i32 {
    let mut mark = 3 * value.log10().floor() as i32 + 3;
    while mark > -972 && mark_value(mark) > value * (1.0 + 1e-9) {
        mark -= 1;
    }
    mark
}

/// The smallest mark at or above a value.
fn above(value: f64) -> i32 {
    let mut mark = 3 * value.log10().floor() as i32 - 1;
    while mark < 925 && mark_value(mark) < value * (1.0 - 1e-9) {
        mark += 1;
    }
    mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(scale: Scale, values: &[f64]) -> Vec<String> {
        Axis::new(scale, false, values.iter().copied()).ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(labels(Scale::Linear, &[0.0, 9.7]), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(Scale::Linear, &[0.61, 0.69]), ["0.60", "0.62", "0.64", "0.66", "0.68", "0.70"]);
        assert_eq!(
            labels(Scale::Log, &[1e-12, 1.0]),
            ["1e-12", "1e-10", "1e-8", "1e-6", "1e-4", "1e-2", "1e0"]
        );
        assert_eq!(labels(Scale::Log, &[0.31, 0.34]), ["0.2", "0.5"]);
        assert_eq!(labels(Scale::Log, &[5.0, 80.0]), ["5", "10", "20", "50", "100"]);
        assert_eq!(labels(Scale::Linear, &[7.0]).len(), 5);
        assert_eq!(labels(Scale::Linear, &[0.0]), ["-1.0", "-0.5", "0", "0.5", "1.0"]);
    }

    #[test]
    fn whole_numbers_get_whole_ticks() {
        let labels = |values: &[f64]| -> Vec<String> {
            let axis = Axis::new(Scale::Linear, true, values.iter().copied());
            axis.ticks.into_iter().map(|tick| tick.label).collect()
        };
        assert_eq!(labels(&[0.0, 3.0]), ["0", "1", "2", "3"]);
        assert_eq!(labels(&[0.0]), ["0", "1"]);
        assert_eq!(labels(&[0.0, 1.0, 2.0]), ["0", "1", "2"]);
        assert_eq!(labels(&[0.0, 24.0]), ["0", "5", "10", "15", "20", "25"]);
    }

    proptest! {
        #[test]
        fn every_value_lies_on_its_axis(mantissas in proptest::collection::vec(-1.0f64..1.0, 1..5), exponent in -300i32..300) {
            let values: Vec<f64> = mantissas.iter().map(|m| m * 10f64.powi(exponent)).filter(|&v| v != 0.0).collect();
            prop_assume!(!values.is_empty());
            let magnitudes: Vec<f64> = values.iter().map(|v| v.abs()).collect();
            for (scale, values) in [(Scale::Linear, &values), (Scale::Log, &magnitudes)] {
                let axis = Axis::new(scale, false, values.iter().copied());
                prop_assert!(axis.low < axis.high);
                prop_assert!((2..=9).contains(&axis.ticks.len()), "{:?}", axis.ticks);
                prop_assert!(axis.ticks.windows(2).all(|pair| pair[0].label != pair[1].label));
                for &value in values {
                    let raw = (scale.apply(value) - axis.low) / (axis.high - axis.low);
                    prop_assert!((-1e-6..=1.0 + 1e-6).contains(&raw), "{value} lies at {raw}");
                }
            }
        }
    }
}
