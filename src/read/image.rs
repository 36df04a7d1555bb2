//! PNG images as grey levels or colours.

use std::io::{Cursor, Write};
use std::path::Path;

use super::{ReadError, Source};

/// An image: `channels` numbers in [0, 1] per pixel, row by row from the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Height.
    pub rows: usize,
    /// Width.
    pub columns: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// `rows * columns * channels` numbers.
    pub values: Vec<f64>,
}

/// Pixels that an image may have.
const MOST_PIXELS: usize = 1 << 26;

impl Image {
    /// Grey levels: the value itself, or the luma 0.299 R + 0.587 G + 0.114 B.
    pub fn grey(&self) -> Vec<f64> {
        match self.channels {
            1 => self.values.clone(),
            _ => self.values.chunks(3).map(|p| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]).collect(),
        }
    }

    /// Writes a PNG with 8 bits a channel, values cut to [0, 1].
    ///
    /// # Errors
    /// Those of the writer, and of an image whose sizes don't fit.
    pub fn write_png(&self, out: &mut impl Write) -> std::io::Result<()> {
        let color = if self.channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb };
        let mut encoder = png::Encoder::new(out, self.columns as u32, self.rows as u32);
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::Eight);
        let bytes: Vec<u8> = self.values.iter().map(|v| (255.0 * v.clamp(0.0, 1.0)).round() as u8).collect();
        let wrong = |error: png::EncodingError| std::io::Error::other(error.to_string());
        let mut writer = encoder.write_header().map_err(wrong)?;
        writer.write_image_data(&bytes).map_err(wrong)?;
        writer.finish().map_err(wrong)
    }
}

/// Reads a PNG file, or standard input for `-`.
///
/// # Errors
/// Those of [`Source::open`] and of [`parse`].
pub fn read(path: impl AsRef<Path>) -> Result<Image, ReadError> {
    let source = Source::open(path)?;
    parse(source.bytes(), source.name())
}

/// Parses a PNG of any colour type and depth; transparent pixels are blended with black. `name` is used in messages.
///
/// # Errors
/// No PNG, a damaged one, or one of more than 2^26 pixels.
pub fn parse(bytes: &[u8], name: &str) -> Result<Image, ReadError> {
    let fail = |problem: String| ReadError::whole(name, problem, "a PNG image is expected");
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(|error| fail(error.to_string()))?;
    let (columns, rows) = (reader.info().width as usize, reader.info().height as usize);
    if rows.saturating_mul(columns) > MOST_PIXELS {
        return Err(fail(format!("{rows} x {columns} pixels, more than 2^26")));
    }
    let mut buffer = vec![0; reader.output_buffer_size()];
    let info = reader.next_frame(&mut buffer).map_err(|error| fail(error.to_string()))?;
    let (samples, channels) = match info.color_type {
        png::ColorType::Grayscale => (1, 1),
        png::ColorType::GrayscaleAlpha => (2, 1),
        png::ColorType::Rgb => (3, 3),
        png::ColorType::Rgba => (4, 3),
        png::ColorType::Indexed => return Err(fail("a palette that was not resolved".into())),
    };
    let mut values = Vec::with_capacity(rows * columns * channels);
    for pixel in buffer[..info.buffer_size()].chunks_exact(samples) {
        let alpha = if samples > channels { f64::from(pixel[channels]) / 255.0 } else { 1.0 };
        values.extend(pixel[..channels].iter().map(|&v| alpha * f64::from(v) / 255.0));
    }
    Ok(Image { rows, columns, channels, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_an_error() {
        for channels in [1, 3] {
            let values: Vec<f64> = (0..6 * channels).map(|k| (k * 9) as f64 / 255.0).collect();
            let image = Image { rows: 2, columns: 3, channels, values };
            let mut file = Vec::new();
            image.write_png(&mut file).unwrap();
            assert_eq!(parse(&file, "image").unwrap(), image);
            for cut in 0..file.len() - 12 {
                assert!(parse(&file[..cut], "cut").is_err());
            }
            for k in 0..file.len() {
                let mut damaged = file.clone();
                damaged[k] ^= 0x55;
                let _ = parse(&damaged, "damaged");
            }
        }
        assert!(parse(b"hello", "text").unwrap_err().to_string().contains("PNG"));
    }
}
