//! Random numbers that other programs can draw too, for published instances and reference figures.

use std::f64::consts::PI;

/// Sebastiano Vigna's generator splitmix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `count` numbers in [0, 1).
    pub fn uniforms(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.uniform()).collect()
    }

    /// Two standard normal numbers by Box and Muller's transform: r cos(2 pi v), r sin(2 pi v) with r = sqrt(-2 ln u), u
    /// in (0, 1] drawn first, v in [0, 1).
    pub fn normal_pair(&mut self) -> [f64; 2] {
        let u = ((self.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        let angle = 2.0 * PI * self.uniform();
        let r = (-2.0 * u.ln()).sqrt();
        [r * angle.cos(), r * angle.sin()]
    }

    /// `count` standard normal numbers; the second one of the last pair is dropped where the count is odd.
    pub fn normals(&mut self, count: usize) -> Vec<f64> {
        let mut out = Vec::with_capacity(count + 1);
        while out.len() < count {
            out.extend(self.normal_pair());
        }
        out.truncate(count);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_outputs_of_a_known_seed() {
        let mut random = SplitMix(1234567);
        assert_eq!(random.bits(), 6457827717110365317);
        assert_eq!(random.bits(), 3203168211198807973);
    }
}
