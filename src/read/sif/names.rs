//! Names of up to ten characters, tables of them, and array names.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// A name of up to ten Latin-1 characters without trailing blanks, packed from the lowest byte on, zeros behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u128);

/// Longest name.
pub(super) const NAME_LENGTH: usize = 10;

impl Name {
    pub(super) const BLANK: Name = Name(0);

    /// The first ten characters of a text.
    pub(super) fn new(text: &[u8]) -> Self {
        let length = text.len().min(NAME_LENGTH);
        let length = text[..length].iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
        let mut bytes = [0; 16];
        bytes[..length].copy_from_slice(&text[..length]);
        Self(u128::from_le_bytes(bytes))
    }

    pub(super) fn is_blank(&self) -> bool {
        self.0 == 0
    }

    /// Whether this is the quoted keyword, which may be shifted to the right by one column.
    pub(super) fn is_keyword(&self, keyword: &[u8]) -> bool {
        let keyword = Self::new(keyword).0;
        self.0 == keyword || self.0 == keyword << 8 | u128::from(b' ')
    }

    fn bytes(&self) -> ([u8; 16], usize) {
        (self.0.to_le_bytes(), 16 - self.0.leading_zeros() as usize / 8)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bytes, length) = self.bytes();
        bytes[..length].iter().try_for_each(|&byte| std::fmt::Write::write_char(f, char::from(byte)))
    }
}

/// Text of Latin-1 bytes.
pub(super) fn latin1(text: &[u8]) -> String {
    text.iter().map(|&byte| char::from(byte)).collect()
}

/// Names numbered from 0 in the order of their first mention: an open-addressing hash table with linear probing.
///
/// The hash is keyed at random, so that no file can be built whose names all collide; the numbers do not depend on it.
#[derive(Debug)]
pub(super) struct Table {
    names: Vec<Name>,
    /// A power of two of places, at most half of them taken: 1 + index of the name, or 0.
    places: Vec<u32>,
    key: u64,
    /// The name found last: loops walk through names in the order of their making, and a look at the neighbours
    /// spares the cache misses of the hash table.
    last: Cell<u32>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            names: Vec::new(),
            places: vec![0; 32],
            key: RandomState::new().hash_one(0),
            last: Cell::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn name(&self, index: u32) -> Name {
        self.names[index as usize]
    }

    pub(super) fn names(&self) -> &[Name] {
        &self.names
    }

    #[inline]
    pub(super) fn get(&self, name: &Name) -> Option<u32> {
        let found = self.near(name).or_else(|| self.places[self.place(name)].checked_sub(1))?;
        self.last.set(found);
        Some(found)
    }

    /// Looks at the names around the one found last.
    #[inline]
    fn near(&self, name: &Name) -> Option<u32> {
        let from = (self.last.get() as usize).saturating_sub(2);
        let to = (from + 6).min(self.names.len());
        let found = self.names.get(from..to)?.iter().position(|known| known == name)?;
        Some((from + found) as u32)
    }

    /// Number of a name, and whether it is new.
    pub(super) fn insert(&mut self, name: Name) -> (u32, bool) {
        if let Some(found) = self.near(&name) {
            return (found, false);
        }
        let mut place = self.place(&name);
        if let Some(index) = self.places[place].checked_sub(1) {
            self.last.set(index);
            return (index, false);
        }
        if 2 * (self.names.len() + 1) > self.places.len() {
            self.grow();
            place = self.place(&name);
        }
        self.names.push(name);
        self.places[place] = self.names.len() as u32;
        self.last.set(self.names.len() as u32 - 1);
        (self.last.get(), true)
    }

    /// Where the name stands, or the free place where it belongs.
    #[inline]
    fn place(&self, name: &Name) -> usize {
        let mask = self.places.len() - 1;
        let mut place = self.hash(name) as usize & mask;
        while let Some(index) = self.places[place].checked_sub(1) {
            if self.names[index as usize] == *name {
                break;
            }
            place = (place + 1) & mask;
        }
        place
    }

    /// Two folded 128-bit products with the key.
    #[inline]
    fn hash(&self, name: &Name) -> u64 {
        let fold = |x: u64, y: u64| {
            let product = u128::from(x) * u128::from(y);
            product as u64 ^ (product >> 64) as u64
        };
        let first = fold(name.0 as u64 ^ self.key, 0x9e37_79b9_7f4a_7c15 ^ self.key.rotate_left(32));
        fold(first ^ (name.0 >> 64) as u64, self.key | 1) ^ first
    }

    fn grow(&mut self) {
        self.places = vec![0; 2 * self.places.len()];
        for index in 0..self.names.len() {
            let place = self.place(&self.names[index]);
            self.places[place] = index as u32 + 1;
        }
    }
}

/// A field of an array card: `base(i,j,k)`, the indices as numbers of integer parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArrayName {
    base: Name,
    base_length: u8,
    count: u8,
    indices: [u32; 3],
}

/// The decimal text of an integer, packed as a name is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    text: u128,
    length: u32,
}

impl Decimal {
    pub(super) fn new(value: i64) -> Self {
        let mut text = 0;
        let mut length = 0;
        let mut magnitude = value.unsigned_abs();
        loop {
            text = text << 8 | u128::from(b'0' + (magnitude % 10) as u8);
            length += 1;
            magnitude /= 10;
            if magnitude == 0 || length == 15 {
                break;
            }
        }
        if value < 0 {
            text = text << 8 | u128::from(b'-');
            length += 1;
        }
        Self { text, length }
    }
}

/// What a field of a card names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reference {
    Plain(Name),
    Array(ArrayName),
}

impl Reference {
    /// Splits the text of a field; a text without `(` is its own name, what follows `)` does not count. None if it is
    /// malformed.
    pub(super) fn split(text: &Name, mut number_of: impl FnMut(Name) -> u32) -> Option<Self> {
        let (bytes, length) = text.bytes();
        let bytes = &bytes[..length];
        let Some(open) = bytes.iter().position(|&byte| byte == b'(') else {
            return Some(Self::Plain(*text));
        };
        let rest = &bytes[open + 1..];
        let close = rest.iter().position(|&byte| byte == b')')?;
        let mut array =
            ArrayName { base: Name::new(&bytes[..open]), base_length: open as u8, count: 0, indices: [0; 3] };
        for (position, index) in rest[..close].split(|&byte| byte == b',').enumerate() {
            if position == 3 {
                return None;
            }
            if !index.is_empty() {
                array.indices[array.count as usize] = number_of(Name::new(index));
                array.count += 1;
            }
        }
        Some(Self::Array(array))
    }
}

impl ArrayName {
    pub(super) fn used_indices(&self) -> &[u32] {
        &self.indices[..self.count as usize]
    }

    /// The name with the values of its indices put in. Err has the text where it is too long.
    #[inline]
    pub(super) fn expand<'v>(&self, value: impl Fn(u32) -> &'v Decimal) -> Result<Name, String> {
        let mut text = self.base.0;
        let mut length = u32::from(self.base_length);
        for (position, &index) in self.used_indices().iter().enumerate() {
            if position > 0 {
                text |= u128::from(b',') << (8 * length);
                length += 1;
            }
            let digits = value(index);
            if length + digits.length > NAME_LENGTH as u32 {
                return Err(self.long_text(value));
            }
            text |= digits.text << (8 * length);
            length += digits.length;
        }
        Ok(Name(text))
    }

    #[cold]
    fn long_text<'v>(&self, value: impl Fn(u32) -> &'v Decimal) -> String {
        let indices = self.used_indices().iter().map(|&index| Name(value(index).text).to_string());
        format!("{}{}", self.base, indices.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str, values: &[(&str, i64)]) -> Option<Result<String, String>> {
        let number_of = |name: Name| {
            values.iter().position(|(known, _)| Name::new(known.as_bytes()) == name).unwrap() as u32
        };
        match Reference::split(&Name::new(text.as_bytes()), number_of)? {
            Reference::Plain(name) => Some(Ok(name.to_string())),
            Reference::Array(array) => {
                let decimals: Vec<Decimal> = values.iter().map(|(_, value)| Decimal::new(*value)).collect();
                Some(array.expand(|index| &decimals[index as usize]).map(|name| name.to_string()))
            }
        }
    }

    #[test]
    fn array_names_expand_to_base_and_values() {
        let values = [("I", 3), ("J", -12), ("K", 4), ("I+1", 123_456)];
        let name = |text| expand(text, &values);
        assert_eq!(name("X(I,J)"), Some(Ok("X3,-12".into())));
        assert_eq!(name("Y()"), Some(Ok("Y".into())));
        assert_eq!(name("Z(I,,K)"), Some(Ok("Z3,4".into())));
        assert_eq!(name("Z(I,J,K)"), Some(Ok("Z3,-12,4".into())));
        assert_eq!(name("U(I)SQ"), Some(Ok("U3".into())));
        assert_eq!(name("PLAIN"), Some(Ok("PLAIN".into())));
        assert_eq!(name("ABCD(I+1)"), Some(Ok("ABCD123456".into())));
        assert_eq!(name("ABCDE(I+1)"), Some(Err("ABCDE123456".into())));
        for malformed in ["X(I", "X(I,I,I,I)"] {
            assert_eq!(name(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn a_table_numbers_names_in_order_of_first_mention() {
        let mut table = Table::new();
        for round in 0..2 {
            for i in 0..5000u32 {
                let name = Name::new(format!("X{i}").as_bytes());
                assert_eq!(table.insert(name), (i, round == 0));
                assert_eq!((table.get(&name), table.name(i)), (Some(i), name));
            }
        }
        assert_eq!(table.get(&Name::new(b"X5000")), None);
    }
}
