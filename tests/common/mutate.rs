//! Hostile inputs from good ones: a seeded mutator that knows bytes, lines, words and numbers.

#![allow(dead_code)]

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// No case is longer.
const LONGEST: usize = 1 << 16;

/// What numbers of a text are replaced by.
const NUMBERS: [&[u8]; 36] = [
    b"0",
    b"-0",
    b"1",
    b"-1",
    b"2",
    b"3",
    b"255",
    b"256",
    b"65536",
    b"16777217",
    b"2147483647",
    b"2147483648",
    b"-2147483648",
    b"4294967294",
    b"4294967295",
    b"4294967296",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1000000000000000000",
    b"99999999999999999999999999999999",
    b"1e308",
    b"-1.7976931348623157e308",
    b"1e309",
    b"1e-320",
    b"4.9e-324",
    b"1e99999999999",
    b"nan",
    b"NaN",
    b"inf",
    b"-Infinity",
    b"0x10",
    b"1.5",
    b".",
    b"1D+3",
];

/// Makes cases of kept inputs and tokens. The same seed and the same calls make the same cases.
pub struct Mutator {
    random: ChaCha8Rng,
    pool: Vec<Vec<u8>>,
    tokens: &'static [&'static str],
}

impl Mutator {
    /// A mutator over a pool of inputs and the tokens of their format, where one character stands for one byte.
    pub fn new(seed: u64, pool: Vec<Vec<u8>>, tokens: &'static [&'static str]) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), pool, tokens }
    }

    /// Keeps an input that led somewhere new, up to a few hundred of them.
    pub fn keep(&mut self, input: &[u8]) {
        if self.pool.len() < 600 && input.len() <= 4096 {
            self.pool.push(input.to_vec());
        }
    }

    /// A number below `bound`, for the choice of options.
    pub fn below(&mut self, bound: usize) -> usize {
        self.random.random_range(0..bound.max(1))
    }

    /// The next case: an input of the pool after one to eight changes, or, now and then, tokens in a row.
    pub fn case(&mut self) -> Vec<u8> {
        if self.pool.is_empty() || self.below(40) == 0 {
            let count = self.below(30);
            return (0..count).flat_map(|_| self.token()).collect();
        }
        let chosen = self.below(self.pool.len());
        let mut bytes = self.pool[chosen].clone();
        for _ in 0..1 + self.below(4) + self.below(5) {
            self.change(&mut bytes);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        let at = self.below(length + 1);
        match self.below(16) {
            0 if at < length => bytes[at] ^= 1 << self.below(8),
            1 if at < length => bytes[at] = self.random.random(),
            2 => bytes.insert(at, self.random.random()),
            3 => bytes.truncate(at),
            4 => {
                let end = at + self.below(1 + (length - at).min(40));
                bytes.drain(at..end);
            }
            5 => {
                let other = self.below(self.pool.len());
                let (from, to) = range(&mut self.random, self.pool[other].len());
                let piece = self.pool[other][from..to].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                // a section again, once or many times
                let (from, to) = range(&mut self.random, length);
                let times = if self.below(8) == 0 { 200 } else { 1 };
                let piece = bytes[from..to].repeat(times.min(1 + LONGEST / (to - from).max(1)));
                bytes.splice(to..to, piece);
            }
            7 => {
                let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
                let (a, b) = (self.below(lines.len()), self.below(lines.len()));
                match self.below(3) {
                    0 => lines.swap(a, b),
                    1 => lines.insert(a, lines[b]),
                    _ => drop(lines.remove(a)),
                }
                *bytes = lines.join(&b'\n');
            }
            8 | 9 => {
                let (from, to) = self.word(bytes, |byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
                let number = NUMBERS.choose(&mut self.random).copied().unwrap_or_default();
                bytes.splice(from..to, number.iter().copied());
            }
            10 | 11 => {
                let (from, to) = self.word(bytes, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
                let token = self.token();
                bytes.splice(from..to, token);
            }
            12 => {
                let token = self.token();
                bytes.splice(at..at, token);
            }
            13 => {
                // one word in place of another
                let is_word = |byte: u8| !byte.is_ascii_whitespace();
                let (from, to) = self.word(bytes, is_word);
                let piece = bytes[from..to].to_vec();
                let (from, to) = self.word(bytes, is_word);
                bytes.splice(from..to, piece);
            }
            14 => {
                // a binary number
                let width = 1 << self.below(4);
                let value =
                    *[0, 1, 2, 0x7f, 0x80, u64::MAX, u64::MAX >> 1, 1 << 31, 1 << 24, 1 << 40, 0x7ff0 << 48]
                        .choose(&mut self.random)
                        .unwrap_or(&0);
                let number: [u8; 8] =
                    if self.below(2) == 0 { value.to_le_bytes() } else { value.to_be_bytes() };
                let part = if self.below(2) == 0 { &number[..width] } else { &number[8 - width..] };
                let end = (at + width).min(length);
                bytes.splice(at..end, part.iter().copied());
            }
            _ => {
                let byte = *b" \t\r\n,;:#%\"'(){}[]*+-./\\0\xff".choose(&mut self.random).unwrap_or(&0);
                match self.below(2) {
                    0 if at < length => bytes[at] = byte,
                    _ => bytes.insert(at, byte),
                }
            }
        }
    }

    fn token(&mut self) -> Vec<u8> {
        let token = self.tokens.choose(&mut self.random).copied().unwrap_or("");
        token.chars().map(|character| character as u8).collect()
    }

    /// The run of bytes of a kind around or behind a random place; empty where there is none.
    fn word(&mut self, bytes: &[u8], is_inside: impl Fn(u8) -> bool) -> (usize, usize) {
        let at = self.below(bytes.len() + 1);
        let Some(some) = (at..bytes.len()).find(|&k| is_inside(bytes[k])) else { return (at, at) };
        let from = (0..some).rev().find(|&k| !is_inside(bytes[k])).map_or(0, |k| k + 1);
        let to = (some..bytes.len()).find(|&k| !is_inside(bytes[k])).unwrap_or(bytes.len());
        (from, to)
    }
}

/// A random range within a length, short ones more often.
fn range(random: &mut ChaCha8Rng, length: usize) -> (usize, usize) {
    let from = random.random_range(0..=length);
    let most = if random.random() { length - from } else { (length - from).min(60) };
    (from, from + random.random_range(0..=most))
}
