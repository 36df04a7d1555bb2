//! Line plots as SVG or PNG.
//!
//! - `axis`: the range of an axis, its ticks and their labels;
//! - `draw`: the picture itself, the same for both formats;
//! - [`regions`]: decision regions of a classifier of two features.
//!
//! Drawn at four times the nominal size: SVG is scaled back by its view box (coordinates in quarter pixels), PNG is
//! averaged down to twice the nominal size (smooth edges).

mod axis;
mod draw;
pub mod regions;

use std::io;
use std::path::{Path, PathBuf};

use plotters::prelude::{BitMapBackend, DrawingBackend, IntoDrawingArea, SVGBackend};

use axis::Axis;
pub use axis::Scale;

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Points in drawing order. What isn't finite is left out; on a logarithmic axis so is what is negative, and so
    /// is a zero x. A zero y is drawn one decade below the smallest positive one.
    pub points: Vec<(f64, f64)>,
}

/// A line plot of up to [`Plot::MAX_SERIES`] curves.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// Shown above the plot; may be empty.
    pub title: String,
    /// Name of the horizontal axis.
    pub x_label: String,
    /// Name of the vertical axis.
    pub y_label: String,
    /// Scale of the horizontal axis.
    pub x_scale: Scale,
    /// Scale of the vertical axis.
    pub y_scale: Scale,
    /// The curves, in the order of the legend.
    pub series: Vec<Series>,
    /// Nominal width in pixels, 200 to 2000.
    pub width: u32,
    /// Nominal height in pixels, 200 to 2000. A legend that finds no empty corner goes below the plot and adds to it.
    pub height: u32,
}

impl Default for Plot {
    fn default() -> Self {
        Self {
            title: String::new(),
            x_label: String::new(),
            y_label: String::new(),
            x_scale: Scale::Linear,
            y_scale: Scale::Linear,
            series: Vec::new(),
            width: 640,
            height: 420,
        }
    }
}

/// Why a plot could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The file ending names no known format.
    #[error("{}: the file ending must be .svg or .png", .0.display())]
    Ending(PathBuf),
    /// Nothing to draw.
    #[error("there is nothing to plot: no series was given")]
    NoSeries,
    /// A series without a point that can be drawn.
    #[error("series '{0}' has no point that can be drawn{1}")]
    EmptySeries(String, &'static str),
    /// More curves than can be told apart.
    #[error("{0} series are too many for one plot; at most {max} can be told apart", max = Plot::MAX_SERIES)]
    TooManySeries(usize),
    /// Width or height out of range.
    #[error("a plot of {0} x {1} pixels was asked for; both must be from 200 to 2000")]
    Size(u32, u32),
    /// The file could not be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The drawing library failed.
    #[error("drawing failed: {0}")]
    Drawing(String),
}

/// Drawn pixels per nominal pixel.
const DRAWN: u32 = 4;
/// Pixels of a PNG per nominal pixel.
const PNG: u32 = 2;

impl Plot {
    /// The largest number of series in one plot.
    pub const MAX_SERIES: usize = 30;

    /// Writes the plot to a file ending in `.svg` or `.png`, whole or not at all.
    ///
    /// # Errors
    /// Another ending, nothing to draw, or a file that can't be written.
    pub fn write(&self, path: &Path) -> Result<(), PlotError> {
        let failed = |source| PlotError::Write { path: path.to_path_buf(), source };
        match Self::format(path)? {
            Format::Svg => super::file::write_whole(path, self.svg()?.as_bytes()).map_err(failed),
            Format::Png => super::file::write_whole(path, &self.png()?).map_err(failed),
        }
    }

    /// Checks the ending of a file name before any work is done for it.
    ///
    /// # Errors
    /// [`PlotError::Ending`] unless it is `.svg` or `.png`.
    pub fn check_ending(path: &Path) -> Result<(), PlotError> {
        Self::format(path).map(|_| ())
    }

    fn format(path: &Path) -> Result<Format, PlotError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "svg" => Ok(Format::Svg),
            "png" => Ok(Format::Png),
            _ => Err(PlotError::Ending(path.to_path_buf())),
        }
    }

    /// The plot as an SVG document.
    ///
    /// # Errors
    /// Nothing to draw, or a size out of range.
    pub fn svg(&self) -> Result<String, PlotError> {
        let layout = self.layout()?;
        let (width, height) = layout.size();
        let mut text = String::new();
        draw_on(SVGBackend::with_string(&mut text, (width, height)), &layout)?;
        let drawn = format!("width=\"{width}\" height=\"{height}\"");
        let nominal = format!("width=\"{}\" height=\"{}\" role=\"img\"", width / DRAWN, height / DRAWN);
        Ok(text.replacen(&drawn, &nominal, 1))
    }

    /// The plot as a PNG file of twice the nominal size.
    ///
    /// # Errors
    /// Nothing to draw, or a size out of range.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        let layout = self.layout()?;
        let (width, height) = layout.size();
        let mut drawn = vec![255; 3 * (width * height) as usize];
        draw_on(BitMapBackend::with_buffer(&mut drawn, (width, height)), &layout)?;
        let small = average(&drawn, width as usize, height as usize, (DRAWN / PNG) as usize);
        encode_png(&small, width * PNG / DRAWN, height * PNG / DRAWN)
    }

    /// Checks the plot and settles its axes.
    fn layout(&self) -> Result<draw::Layout<'_>, PlotError> {
        if !(200..=2000).contains(&self.width) || !(200..=2000).contains(&self.height) {
            return Err(PlotError::Size(self.width, self.height));
        }
        if self.series.is_empty() {
            return Err(PlotError::NoSeries);
        }
        if self.series.len() > Self::MAX_SERIES {
            return Err(PlotError::TooManySeries(self.series.len()));
        }
        let floor = self.floor();
        let curves: Vec<Vec<(f64, f64)>> =
            self.series.iter().map(|series| self.drawable(series, floor)).collect();
        if let Some(index) = curves.iter().position(Vec::is_empty) {
            let logarithmic = self.x_scale == Scale::Log || self.y_scale == Scale::Log;
            let hint = if logarithmic { "; a logarithmic axis needs positive values" } else { "" };
            return Err(PlotError::EmptySeries(self.series[index].name.clone(), hint));
        }
        // iterations and other counts: no ticks between them
        let whole = curves.iter().flatten().all(|point| point.0.fract() == 0.0);
        let x = Axis::new(self.x_scale, whole, curves.iter().flatten().map(|point| point.0));
        let y = Axis::new(self.y_scale, false, curves.iter().flatten().map(|point| point.1));
        draw::Layout::new(self, x, y, &curves)
    }

    /// Where zeros are drawn on a logarithmic vertical axis.
    fn floor(&self) -> f64 {
        let values = self.series.iter().flat_map(|series| &series.points).map(|point| point.1);
        let smallest = values.filter(|&y| y > 0.0).fold(f64::INFINITY, f64::min);
        if smallest.is_finite() { (smallest / 10.0).max(f64::MIN_POSITIVE) } else { 1e-16 }
    }

    /// The points of a series that have a place on the axes.
    fn drawable(&self, series: &Series, floor: f64) -> Vec<(f64, f64)> {
        let lift = |y: f64| if self.y_scale == Scale::Log && y == 0.0 { floor } else { y };
        series
            .points
            .iter()
            .map(|&(x, y)| (x, lift(y)))
            .filter(|&(x, y)| self.x_scale.holds(x) && self.y_scale.holds(y))
            .collect()
    }
}

enum Format {
    Svg,
    Png,
}

fn draw_on<DB: DrawingBackend>(backend: DB, layout: &draw::Layout) -> Result<(), PlotError> {
    let root = backend.into_drawing_area();
    layout.draw(&root).and_then(|()| root.present()).map_err(draw_error)
}

fn draw_error(error: impl std::fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

/// Averages squares of `factor` x `factor` pixels of an RGB picture.
fn average(picture: &[u8], width: usize, height: usize, factor: usize) -> Vec<u8> {
    let mut small = Vec::with_capacity(picture.len() / (factor * factor));
    for row in 0..height / factor {
        for column in 0..width / factor {
            for channel in 0..3 {
                let mut sum = 0;
                for r in factor * row..factor * (row + 1) {
                    for c in factor * column..factor * (column + 1) {
                        sum += usize::from(picture[3 * (r * width + c) + channel]);
                    }
                }
                small.push((sum / (factor * factor)) as u8);
            }
        }
    }
    small
}

/// Encodes an RGB picture as PNG: a header, one zlib stream of unfiltered rows, an end (PNG specification, section 5).
fn encode_png(picture: &[u8], width: u32, height: u32) -> Result<Vec<u8>, PlotError> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    for row in picture.chunks(3 * width as usize) {
        encoder
            .write_all(&[0])
            .and_then(|()| encoder.write_all(row))
            .map_err(|e| PlotError::Drawing(e.to_string()))?;
    }
    let stream = encoder.finish().map_err(|e| PlotError::Drawing(e.to_string()))?;
    let mut header = Vec::with_capacity(13);
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]); // 8 bits, RGB, the only compression and filter method, not interlaced
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", &header), (b"IDAT", &stream), (b"IEND", &Vec::new())] {
        let mut checksum = flate2::Crc::new();
        checksum.update(kind);
        checksum.update(data);
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(kind);
        file.extend(data);
        file.extend(checksum.sum().to_be_bytes());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> Plot {
        let series = vec![
            Series { name: "first".into(), points: points.clone() },
            Series { name: "second <&>".into(), points: points.iter().map(|&(x, y)| (x, 2.0 * y)).collect() },
        ];
        Plot { title: "a < b".into(), y_scale: Scale::Log, series, ..Plot::default() }
    }

    #[test]
    fn odd_curves_are_drawn_or_refused_never_panicked_on() {
        for points in [
            vec![(0.0, 1.0)],
            vec![(0.0, 1.0), (1.0, 1.0)],
            vec![(0.0, 1.0), (f64::NAN, 1.0), (2.0, f64::INFINITY), (3.0, 0.0), (4.0, -1.0)],
            (0..100_000).map(|i| (i as f64, 1.0 + (i as f64).sin())).collect(),
            vec![(1e-300, 1e-300), (1e300, 1e300)],
        ] {
            let plot = plot(points);
            let svg = plot.svg().unwrap();
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.len() < 4_000_000);
            assert!(svg.contains("second &lt;&amp;&gt;"));
            assert!(plot.png().unwrap().starts_with(b"\x89PNG"));
        }
        for points in [vec![], vec![(0.0, -1.0)], vec![(f64::NAN, 1.0)]] {
            assert!(matches!(plot(points).svg(), Err(PlotError::EmptySeries(..))));
        }
        assert!(matches!(Plot::default().svg(), Err(PlotError::NoSeries)));
        assert!(matches!(plot(vec![(0.0, 1.0)]).write(Path::new("a.gif")), Err(PlotError::Ending(_))));
    }
}
