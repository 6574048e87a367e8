//! Sizes of objects: one, several with weights, or a range.

use rand::RngExt;

/// The sizes of the objects that are written, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// Sizes with weights. One size has all the weight.
    Weighted(Vec<(u64, u32)>),
    /// Between these two. Each power of two is as likely as the next one, as with files.
    Between(u64, u64),
}

impl Sizes {
    /// One size.
    pub fn fixed(size: u64) -> Self {
        Self::Weighted(vec![(size, 1)])
    }

    /// A size.
    pub fn draw(&self, rng: &mut impl RngExt) -> u64 {
        match self {
            Self::Weighted(sizes) => {
                let total: u64 = sizes.iter().map(|(_, weight)| u64::from(*weight)).sum();
                let mut left = rng.random_range(0..total.max(1));
                for (size, weight) in sizes {
                    match left.checked_sub(u64::from(*weight)) {
                        Some(rest) => left = rest,
                        None => return *size,
                    }
                }
                0
            }
            Self::Between(least, most) => {
                let (least, most) = ((*least).max(1) as f64, (*most).max(1) as f64);
                let exponent = rng.random_range(least.log2()..=most.log2());
                (exponent.exp2().round() as u64).clamp(least as u64, most as u64)
            }
        }
    }

    /// The largest size.
    pub fn largest(&self) -> u64 {
        match self {
            Self::Weighted(sizes) => sizes.iter().map(|(size, _)| *size).max().unwrap_or_default(),
            Self::Between(_, most) => *most,
        }
    }

    /// The sizes in words. `size` writes one size.
    pub fn describe(&self, size: impl Fn(u64) -> String) -> String {
        match self {
            Self::Between(least, most) => format!("{} to {}", size(*least), size(*most)),
            Self::Weighted(sizes) => match sizes[..] {
                [(one, _)] => size(one),
                _ => {
                    let parts = sizes.iter().map(|(of, weight)| format!("{weight} × {}", size(*of)));
                    parts.collect::<Vec<_>>().join(", ")
                }
            },
        }
    }

    /// Parses `4KiB`, `4KiB:70,1MiB:30` or `1KiB..1MiB`. `size` parses one size.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str, size: impl Fn(&str) -> Result<u64, String>) -> Result<Self, String> {
        if let Some((least, most)) = text.split_once("..") {
            let (least, most) = (size(least)?, size(most)?);
            if least == 0 || least > most {
                return Err("a range of sizes goes from a smaller one, of 1 byte at least, to a larger one"
                    .to_owned());
            }
            return Ok(Self::Between(least, most));
        }
        let weighted = text.split(',').map(|part| match part.split_once(':') {
            None => Ok((size(part)?, 1)),
            Some((bytes, weight)) => {
                let weight: u32 = weight
                    .trim()
                    .parse()
                    .map_err(|_| format!("{weight} is not a weight, which is a whole number"))?;
                Ok((size(bytes)?, weight))
            }
        });
        let sizes: Vec<_> = weighted.collect::<Result<_, String>>()?;
        if sizes.iter().all(|(_, weight)| *weight == 0) {
            return Err("no size has a weight".to_owned());
        }
        Ok(Self::Weighted(sizes))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn parse(text: &str) -> Result<Sizes, String> {
        Sizes::parse(text, |size| size.parse().map_err(|_| format!("{size} is not a size")))
    }

    #[test]
    fn sizes_are_drawn_as_they_are_weighted() {
        let mut rng = StdRng::seed_from_u64(1);
        let sizes = parse("10:3,20:1,30:0").unwrap();
        let drawn: Vec<_> = (0..4000).map(|_| sizes.draw(&mut rng)).collect();
        let tens = drawn.iter().filter(|size| **size == 10).count();
        assert!((2800..3200).contains(&tens), "{tens}");
        assert!(!drawn.contains(&30));
    }

    #[test]
    fn a_range_has_as_many_of_each_power_of_two() {
        let mut rng = StdRng::seed_from_u64(1);
        let sizes = parse("1..1024").unwrap();
        let drawn: Vec<_> = (0..4000).map(|_| sizes.draw(&mut rng)).collect();
        let small = drawn.iter().filter(|size| **size <= 32).count();
        assert!((1800..2300).contains(&small), "{small}");
        assert!(drawn.iter().all(|size| (1..=1024).contains(size)));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "x", "1:x", "5..4", "0..4", "1:0"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("7"), Ok(Sizes::fixed(7)));
    }

    #[test]
    fn sizes_are_described_as_they_were_asked_for() {
        let words = |text| parse(text).unwrap().describe(|size| format!("{size} B"));
        assert_eq!(["7", "1:2,3:4", "1..9"].map(words), ["7 B", "2 × 1 B, 4 × 3 B", "1 B to 9 B"]);
    }
}
