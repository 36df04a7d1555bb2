//! Policies by the names of the command line.

use std::fmt;
use std::str::FromStr;

use super::{Auto, Binned, ChebCb, Fixed, Hill, Policy, Seeded, TsallisInf, Zoom, omega_grid};
use crate::relaxation::{Error, check_omega};

/// A policy that is yet to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Named {
    /// [`Auto`].
    Auto,
    /// [`Fixed`] at this omega.
    Fixed(f64),
    /// [`TsallisInf`], with or without reduced variance.
    TsallisInf {
        /// Costs are measured from half their mean.
        reduced_variance: bool,
    },
    /// [`Binned`] with so many ranges.
    Binned(usize),
    /// [`ChebCb`].
    ChebCb,
    /// [`Hill`].
    Hill,
    /// [`Zoom`].
    Zoom,
    /// [`Seeded`].
    Seeded,
}

/// Arms of the learners: omegas from 1 to 1.95.
const ARMS: usize = 20;
/// Ranges of the context where none are asked for.
const BINS: usize = 6;

impl Named {
    /// The names, for messages.
    pub const NAMES: &'static str =
        "auto, fixed:W, tsallis-inf, tsallis-inf-rv, tsallis-inf-cb[:BINS], chebcb, hill, zoom, seeded";

    /// Makes the policy, for contexts in `range`.
    ///
    /// # Errors
    /// `Option` for an empty range, where the policy uses it.
    pub fn make(&self, (low, high): (f64, f64), seed: u64) -> Result<Box<dyn Policy>, Error> {
        let grid = || omega_grid(ARMS);
        Ok(match *self {
            Named::Auto => Box::new(Auto::new()),
            Named::Fixed(omega) => Box::new(Fixed::new(omega)?),
            Named::TsallisInf { reduced_variance } => {
                Box::new(TsallisInf::new(grid(), reduced_variance, seed)?)
            }
            Named::Binned(bins) => Box::new(Binned::new(grid(), bins, low, high, seed)?),
            Named::ChebCb => Box::new(ChebCb::new(grid(), low, high, seed)?),
            Named::Hill => Box::new(Hill::new(grid(), low, high, seed)?),
            Named::Zoom => Box::new(Zoom::new(grid(), low, high, seed)?),
            Named::Seeded => Box::new(Seeded::new(seed)?),
        })
    }
}

impl FromStr for Named {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::UnknownPolicy { name: text.into(), known: Self::NAMES };
        Ok(match text.split_once(':') {
            None => match text {
                "auto" => Named::Auto,
                "tsallis-inf" => Named::TsallisInf { reduced_variance: false },
                "tsallis-inf-rv" => Named::TsallisInf { reduced_variance: true },
                "tsallis-inf-cb" => Named::Binned(BINS),
                "chebcb" => Named::ChebCb,
                "hill" => Named::Hill,
                "zoom" => Named::Zoom,
                "seeded" => Named::Seeded,
                _ => return Err(unknown()),
            },
            Some(("fixed", omega)) => {
                let omega = omega.parse().map_err(|_| {
                    Error::Option(format!("omega is '{omega}'; a number in (0, 2) is expected"))
                })?;
                check_omega(omega)?;
                Named::Fixed(omega)
            }
            Some(("tsallis-inf-cb", bins)) => match bins.parse() {
                Ok(bins @ 1..=1000) => Named::Binned(bins),
                _ => {
                    return Err(Error::Option(format!("'{bins}' bins; a number from 1 to 1000 is expected")));
                }
            },
            Some(_) => return Err(unknown()),
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Named::Auto => f.write_str("auto"),
            Named::Fixed(omega) => write!(f, "fixed:{omega}"),
            Named::TsallisInf { reduced_variance: false } => f.write_str("tsallis-inf"),
            Named::TsallisInf { reduced_variance: true } => f.write_str("tsallis-inf-rv"),
            Named::Binned(bins) => write!(f, "tsallis-inf-cb:{bins}"),
            Named::ChebCb => f.write_str("chebcb"),
            Named::Hill => f.write_str("hill"),
            Named::Zoom => f.write_str("zoom"),
            Named::Seeded => f.write_str("seeded"),
        }
    }
}
