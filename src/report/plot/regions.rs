//! Decision regions of a classifier of two features, with the points it was trained on.

use plotters::prelude::*;

use super::{DRAWN, PlotError, draw_error};

/// The sign of a function on a grid as two shades, and points of two classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Regions {
    /// The rectangle: left, bottom, right, top.
    pub bounds: (f64, f64, f64, f64),
    /// Cells in a row; `values` holds whole rows from the bottom up.
    pub columns: usize,
    /// The function in the middle of each cell.
    pub values: Vec<f64>,
    /// (x, y, whether the class is the positive one).
    pub points: Vec<(f64, f64, bool)>,
    /// Nominal width in pixels; the height follows from the bounds.
    pub width: u32,
}

/// Shades and marks of the two classes: Okabe and Ito's blue and vermilion.
const SHADES: [RGBColor; 2] = [RGBColor(250, 222, 202), RGBColor(205, 226, 240)];
const MARKS: [RGBColor; 2] = [RGBColor(213, 94, 0), RGBColor(0, 114, 178)];

impl Regions {
    /// The picture as an SVG document.
    ///
    /// # Errors
    /// Values that don't make whole rows, or bounds that enclose nothing.
    pub fn svg(&self) -> Result<String, PlotError> {
        let (left, bottom, right, top) = self.bounds;
        let fits =
            self.columns > 0 && !self.values.is_empty() && self.values.len().is_multiple_of(self.columns);
        if !(fits && right > left && top > bottom && (right - left).is_finite() && (top - bottom).is_finite())
        {
            return Err(PlotError::NoSeries);
        }
        let height = (f64::from(self.width) * (top - bottom) / (right - left)).clamp(100.0, 2000.0) as u32;
        let (width, height) = (self.width.clamp(200, 2000) * DRAWN, height * DRAWN);
        let mut text = String::new();
        {
            let root = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
            self.draw(&root, f64::from(width), f64::from(height)).map_err(draw_error)?;
            root.present().map_err(draw_error)?;
        }
        let drawn = format!("width=\"{width}\" height=\"{height}\"");
        let nominal = format!("width=\"{}\" height=\"{}\" role=\"img\"", width / DRAWN, height / DRAWN);
        Ok(text.replacen(&drawn, &nominal, 1))
    }

    fn draw<DB: DrawingBackend>(
        &self,
        root: &DrawingArea<DB, plotters::coord::Shift>,
        width: f64,
        height: f64,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let (left, bottom, right, top) = self.bounds;
        root.fill(&SHADES[0])?;
        let rows = self.values.len() / self.columns;
        let x = |c: usize| (c as f64 / self.columns as f64 * width).round() as i32;
        let y = |r: usize| (height - r as f64 / rows as f64 * height).round() as i32;
        for (r, row) in self.values.chunks_exact(self.columns).enumerate() {
            let mut start = 0;
            for run in row.chunk_by(|a, b| (*a > 0.0) == (*b > 0.0)) {
                if run[0] > 0.0 {
                    let corners = [(x(start), y(r + 1)), (x(start + run.len()), y(r))];
                    root.draw(&Rectangle::new(corners, SHADES[1].filled()))?;
                }
                start += run.len();
            }
        }
        let radius = 2 * DRAWN as i32;
        for &(px, py, positive) in &self.points {
            let place = (
                ((px - left) / (right - left) * width) as i32,
                (height - (py - bottom) / (top - bottom) * height) as i32,
            );
            let style = MARKS[usize::from(positive)].filled();
            if positive {
                root.draw(&Circle::new(place, radius, style))?;
            } else {
                let (a, b) = ((place.0 - radius, place.1 - radius), (place.0 + radius, place.1 + radius));
                root.draw(&Rectangle::new([a, b], style))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_hold_regions_and_points_and_odd_grids_are_refused() {
        let regions = Regions {
            bounds: (-1.0, -1.0, 1.0, 1.0),
            columns: 3,
            values: vec![1.0, -1.0, 1.0, -1.0, -1.0, -1.0],
            points: vec![(0.0, 0.0, true), (0.5, -0.5, false)],
            width: 300,
        };
        let svg = regions.svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("circle"));
        assert!(Regions { columns: 4, ..regions.clone() }.svg().is_err());
        assert!(Regions { values: vec![], ..regions.clone() }.svg().is_err());
        assert!(Regions { bounds: (0.0, 0.0, 0.0, 1.0), ..regions }.svg().is_err());
    }
}
