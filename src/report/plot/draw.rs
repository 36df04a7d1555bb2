//! The picture itself: frame, grid, curves, legend. All lengths are nominal pixels, multiplied by [`DRAWN`] on the way out.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::{DRAWN, Plot, PlotError};

/// Okabe and Ito's palette, told apart with every kind of colour vision; yellow, too light for lines, is left out.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(40, 40, 40),
];
/// Lengths of strokes and gaps; empty for an unbroken line.
const DASHES: [&[f64]; 5] = [&[], &[9.0, 4.0], &[2.5, 3.0], &[10.0, 3.0, 2.5, 3.0], &[5.0, 3.0]];
/// Curves with at most this many points show them.
const MARKED_POINTS: usize = 40;

const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(226, 226, 226);
const TICK_SIZE: f64 = 14.0;
const LABEL_SIZE: f64 = 15.0;
const TITLE_SIZE: f64 = 16.0;
/// Width of a character of the font, about, over its size.
const CHARACTER: f64 = 0.6;
const LEGEND_ROW: f64 = 19.0;
const LEGEND_KEY: f64 = 34.0;

/// A rectangle: left, top, right, bottom.
type Frame = (f64, f64, f64, f64);

/// Where everything goes.
pub(super) struct Layout<'a> {
    plot: &'a Plot,
    x: Axis,
    y: Axis,
    /// The curves in nominal pixels.
    curves: Vec<Vec<(f64, f64)>>,
    frame: Frame,
    legend: Option<Legend>,
    height: f64,
}

/// The place of the legend and of its entries.
struct Legend {
    frame: Frame,
    columns: usize,
    column_width: f64,
    inside: bool,
}

impl<'a> Layout<'a> {
    pub fn new(plot: &'a Plot, x: Axis, y: Axis, curves: &[Vec<(f64, f64)>]) -> Result<Self, PlotError> {
        register_font()?;
        let widest = y.ticks.iter().map(|tick| tick.label.chars().count()).max().unwrap_or(1) as f64;
        let left = 12.0 + LABEL_SIZE + 8.0 + widest * TICK_SIZE * CHARACTER;
        let top = if plot.title.is_empty() { 12.0 } else { 34.0 };
        let (width, height) = (f64::from(plot.width), f64::from(plot.height));
        let frame = (left, top, width - 18.0, height - 50.0);
        let place = |&(a, b): &(f64, f64)| {
            let (px, py) = (x.position(a), y.position(b));
            (frame.0 + px * (frame.2 - frame.0), frame.3 - py * (frame.3 - frame.1))
        };
        let curves: Vec<Vec<(f64, f64)>> =
            curves.iter().map(|curve| thin(curve.iter().map(place).collect())).collect();
        let legend = (plot.series.len() > 1).then(|| Legend::place(plot, frame, &curves));
        let below =
            legend.as_ref().filter(|legend| !legend.inside).map_or(0.0, |l| l.frame.3 - l.frame.1 + 8.0);
        Ok(Self { plot, x, y, curves, frame, legend, height: height + below })
    }

    /// Drawn size.
    pub fn size(&self) -> (u32, u32) {
        (self.plot.width * DRAWN, self.height.ceil() as u32 * DRAWN)
    }

    pub fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Outcome<DB> {
        root.fill(&WHITE)?;
        self.draw_axes(root)?;
        for (index, curve) in self.curves.iter().enumerate() {
            draw_curve(root, curve, index, curve.len() <= MARKED_POINTS)?;
        }
        self.draw_legend(root)
    }

    fn draw_axes<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Outcome<DB> {
        let (left, top, right, bottom) = self.frame;
        for tick in &self.x.ticks {
            let x = left + tick.position * (right - left);
            line(root, &[(x, top), (x, bottom)], GRID, 1.0)?;
            text(root, &tick.label, (x, bottom + 5.0), TICK_SIZE, HPos::Center, VPos::Top, false)?;
        }
        for tick in &self.y.ticks {
            let y = bottom - tick.position * (bottom - top);
            line(root, &[(left, y), (right, y)], GRID, 1.0)?;
            text(root, &tick.label, (left - 6.0, y), TICK_SIZE, HPos::Right, VPos::Center, false)?;
        }
        line(root, &[(left, top), (left, bottom), (right, bottom), (right, top), (left, top)], INK, 1.0)?;
        let middle = ((left + right) / 2.0, (top + bottom) / 2.0);
        text(root, &self.plot.title, (middle.0, 9.0), TITLE_SIZE, HPos::Center, VPos::Top, false)?;
        let base = bottom + 9.0 + TICK_SIZE;
        text(root, &self.plot.x_label, (middle.0, base), LABEL_SIZE, HPos::Center, VPos::Top, false)?;
        text(root, &self.plot.y_label, (8.0, middle.1), LABEL_SIZE, HPos::Center, VPos::Top, true)
    }

    fn draw_legend<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Outcome<DB> {
        let Some(legend) = &self.legend else { return Ok(()) };
        let (left, top, right, bottom) = legend.frame;
        if legend.inside {
            let style = ShapeStyle::from(&WHITE.mix(0.85)).filled();
            root.draw(&Rectangle::new([pixel((left, top)), pixel((right, bottom))], style))?;
        }
        for (index, series) in self.plot.series.iter().enumerate() {
            let (column, row) = (index % legend.columns, index / legend.columns);
            let x = left + 6.0 + column as f64 * legend.column_width;
            let y = top + (row as f64 + 0.5) * LEGEND_ROW + 2.0;
            draw_curve(root, &[(x, y), (x + LEGEND_KEY - 8.0, y)], index, false)?;
            if self.curves[index].len() <= MARKED_POINTS {
                marker(root, (x + (LEGEND_KEY - 8.0) / 2.0, y), index)?;
            }
            text(root, &series.name, (x + LEGEND_KEY, y), TICK_SIZE, HPos::Left, VPos::Center, false)?;
        }
        Ok(())
    }
}

impl Legend {
    /// In the emptiest corner, or below the plot if every corner has a curve in it.
    fn place(plot: &Plot, frame: Frame, curves: &[Vec<(f64, f64)>]) -> Self {
        let longest = plot.series.iter().map(|series| series.name.chars().count()).max().unwrap_or(0) as f64;
        let column_width = LEGEND_KEY + 14.0 + longest * TICK_SIZE * CHARACTER;
        let (width, height) = (column_width, plot.series.len() as f64 * LEGEND_ROW + 4.0);
        let (left, top, right, bottom) = frame;
        let gap = 8.0;
        let mut best: Option<(usize, Frame)> = None;
        if width < 0.6 * (right - left) && height < 0.6 * (bottom - top) {
            for (x, y) in [
                (right - width - gap, top + gap),
                (left + gap, bottom - height - gap),
                (left + gap, top + gap),
                (right - width - gap, bottom - height - gap),
            ] {
                let corner = (x, y, x + width, y + height);
                let hits = curves.iter().map(|curve| hits(curve, corner)).sum();
                if best.is_none_or(|(fewest, _)| hits < fewest) {
                    best = Some((hits, corner));
                }
            }
        }
        if let Some((0, frame)) = best {
            return Self { frame, columns: 1, column_width, inside: true };
        }
        let columns = (((right - left) / column_width) as usize).clamp(1, plot.series.len());
        let rows = plot.series.len().div_ceil(columns) as f64;
        let top = bottom + 52.0;
        Self {
            frame: (left, top, right, top + rows * LEGEND_ROW + 4.0),
            columns,
            column_width,
            inside: false,
        }
    }
}

/// Points of a curve, looked at every few pixels, that lie in a rectangle.
fn hits(curve: &[(f64, f64)], (left, top, right, bottom): Frame) -> usize {
    let inside = |(x, y): (f64, f64)| x >= left && x <= right && y >= top && y <= bottom;
    let segment = |pair: &[(f64, f64)]| {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let steps = ((x1 - x0).abs().max((y1 - y0).abs()) / 3.0).ceil().clamp(1.0, 2000.0) as usize;
        let at = |k: usize| k as f64 / steps as f64;
        (0..=steps).filter(|&k| inside((x0 + at(k) * (x1 - x0), y0 + at(k) * (y1 - y0)))).count()
    };
    usize::from(curve.first().copied().is_some_and(inside)) + curve.windows(2).map(segment).sum::<usize>()
}

/// Keeps, of runs of points in one column of half a pixel, the first, lowest, highest and last.
fn thin(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= 4000 {
        return points;
    }
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for run in points.chunk_by(|a, b| (2.0 * a.0).floor() == (2.0 * b.0).floor()) {
        let mut chosen = [0, 0, 0, run.len() - 1];
        for (k, point) in run.iter().enumerate() {
            if point.1 < run[chosen[1]].1 {
                chosen[1] = k;
            }
            if point.1 > run[chosen[2]].1 {
                chosen[2] = k;
            }
        }
        chosen.sort_unstable();
        kept.extend(
            chosen.iter().enumerate().filter(|&(i, k)| i == 0 || chosen[i - 1] != *k).map(|(_, &k)| run[k]),
        );
    }
    kept
}

type Outcome<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Drawn pixel of a nominal place.
fn pixel((x, y): (f64, f64)) -> (i32, i32) {
    let scale = f64::from(DRAWN);
    ((x * scale).round() as i32, (y * scale).round() as i32)
}

fn line<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    points: &[(f64, f64)],
    color: RGBColor,
    width: f64,
) -> Outcome<DB> {
    let style = color.stroke_width((width * f64::from(DRAWN)) as u32);
    root.draw(&PathElement::new(points.iter().copied().map(pixel).collect::<Vec<_>>(), style))
}

fn draw_curve<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    points: &[(f64, f64)],
    index: usize,
    marked: bool,
) -> Outcome<DB> {
    let color = PALETTE[index % PALETTE.len()];
    let dashes = DASHES[index % DASHES.len()];
    if dashes.is_empty() {
        line(root, points, color, 2.0)?;
    } else {
        for stroke in dashed(points, dashes) {
            line(root, &stroke, color, 2.0)?;
        }
    }
    if marked || points.len() == 1 {
        for &point in points {
            marker(root, point, index)?;
        }
    }
    Ok(())
}

/// Cuts a polyline into strokes.
fn dashed(points: &[(f64, f64)], dashes: &[f64]) -> Vec<Vec<(f64, f64)>> {
    let (mut strokes, mut current) = (Vec::new(), Vec::new());
    let (mut phase, mut left) = (0, dashes[0]);
    current.extend(points.first());
    for pair in points.windows(2) {
        let ((mut x, mut y), (x1, y1)) = (pair[0], pair[1]);
        let mut length = (x1 - x).hypot(y1 - y);
        while length > left {
            let share = left / length;
            (x, y) = (x + share * (x1 - x), y + share * (y1 - y));
            length -= left;
            if phase % 2 == 0 {
                current.push((x, y));
                strokes.push(std::mem::take(&mut current));
            } else {
                current = vec![(x, y)];
            }
            phase = (phase + 1) % dashes.len();
            left = dashes[phase];
        }
        left -= length;
        if phase % 2 == 0 {
            current.push((x1, y1));
        }
    }
    if current.len() > 1 {
        strokes.push(current);
    }
    strokes
}

/// A disc, a square or a triangle.
fn marker<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    (x, y): (f64, f64),
    index: usize,
) -> Outcome<DB> {
    let style = PALETTE[index % PALETTE.len()].filled();
    let r = 3.5;
    match index % 3 {
        0 => root.draw(&Circle::new(pixel((x, y)), (r * f64::from(DRAWN)) as i32, style)),
        1 => root.draw(&Rectangle::new([pixel((x - r, y - r)), pixel((x + r, y + r))], style)),
        _ => {
            let corners = [(x - r - 1.0, y + r), (x + r + 1.0, y + r), (x, y - r - 1.0)];
            root.draw(&Polygon::new(corners.map(pixel).to_vec(), style))
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn text<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    words: &str,
    place: (f64, f64),
    size: f64,
    horizontal: HPos,
    vertical: VPos,
    upright: bool,
) -> Outcome<DB> {
    if words.is_empty() {
        return Ok(());
    }
    let font = ("sans-serif", size * f64::from(DRAWN)).into_font();
    let font = if upright { font.transform(FontTransform::Rotate270) } else { font };
    let style = font.color(&INK).pos(Pos::new(horizontal, vertical));
    root.draw(&Text::new(words.to_string(), pixel(place), style))
}

/// Registers the embedded font once; no system fonts are needed.
fn register_font() -> Result<(), PlotError> {
    static REGISTERED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let registered = REGISTERED.get_or_init(|| {
        plotters::style::register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular()).is_ok()
    });
    if *registered { Ok(()) } else { Err(PlotError::Drawing("the embedded font could not be read".into())) }
}
