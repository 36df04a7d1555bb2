//! Building block 2: which block is selected. One file per rule, each an `impl Select`.

mod cyclic;
mod forest;
mod gauss_southwell;
mod gauss_southwell_diagonal;
mod gauss_southwell_lipschitz;
mod hard_thresholding;
mod lipschitz;
mod matching_pursuit;
mod maximum_improvement;
mod permuted;
mod quadratic;
mod random;

use rand_chacha::ChaCha8Rng;

use super::Error;
use super::partition::Blocks;
use super::state::State;

/// A selection rule in progress.
pub trait Select {
    /// Whether the rule looks at all of the gradient, which then is kept current.
    fn needs_gradient(&self) -> bool {
        true
    }

    /// The unknowns to update next, ascending. May be empty where nothing promises a decrease.
    fn select(&mut self, state: &State, blocks: &Blocks, random: &mut ChaCha8Rng) -> Vec<usize>;
}

/// Which block is selected. H is the bound of the Hessian, L_i its diagonal, L_b the largest eigenvalue of a block.
/// With kinks or bounds the squares g_i^2 / (2 c_i) become the decrease of a proximal step of curvature c_i.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// Uniformly at random.
    Random,
    /// One block after the other.
    Cyclic,
    /// One block after the other, in a new random order in each pass.
    Permuted,
    /// At random, in proportion to L_b or L_i.
    Lipschitz,
    /// Gauss-Southwell: the largest ||g_b||.
    GaussSouthwell,
    /// Gauss-Southwell-Lipschitz: the largest ||g_b||^2 / L_b; variable blocks: g_i^2 / sum of |H_ij|, a stand-in.
    GaussSouthwellLipschitz,
    /// Gauss-Southwell-diagonal: the largest sum of g_i^2 / L_i.
    #[default]
    GaussSouthwellDiagonal,
    /// Gauss-Southwell-quadratic: the largest g_b' H_b^{-1} g_b; variable blocks by iterative hard thresholding.
    GaussSouthwellQuadratic,
    /// The same by orthogonal matching pursuit: a variable block grows in five parts, each solved for.
    MatchingPursuit,
    /// The largest decrease of F itself over the blocks; for small problems.
    MaximumImprovement,
    /// A maximal forest of the Hessian's graph, grown by falling scores.
    GreedyForest,
    /// A maximal forest, grown in random order.
    RandomForest,
}

/// No more unknowns than this for [`Rule::MaximumImprovement`].
const LARGEST_IMPROVEMENT: usize = 2000;

impl Rule {
    /// All rules and their names on the command line.
    pub const NAMES: [(&'static str, Rule); 12] = [
        ("random", Rule::Random),
        ("cyclic", Rule::Cyclic),
        ("permuted", Rule::Permuted),
        ("lipschitz", Rule::Lipschitz),
        ("gs", Rule::GaussSouthwell),
        ("gsl", Rule::GaussSouthwellLipschitz),
        ("gsd", Rule::GaussSouthwellDiagonal),
        ("gsq", Rule::GaussSouthwellQuadratic),
        ("omp", Rule::MatchingPursuit),
        ("mi", Rule::MaximumImprovement),
        ("greedy-forest", Rule::GreedyForest),
        ("random-forest", Rule::RandomForest),
    ];

    /// The rule, ready to run.
    ///
    /// # Errors
    /// A rule that does not go with the blocks or the problem.
    pub fn start(self, state: &State, blocks: &Blocks) -> Result<Box<dyn Select>, Error> {
        let fixed = matches!(blocks, Blocks::Fixed(_));
        let refuse = |why: &str| Err(Error::Option(why.into()));
        if self == Rule::MaximumImprovement && state.unknowns() > LARGEST_IMPROVEMENT {
            return refuse("maximum improvement tries every unknown in every step: 2000 unknowns at most");
        }
        if matches!(self, Rule::GreedyForest | Rule::RandomForest) {
            if fixed {
                return refuse("forest rules choose their own blocks: use variable ones");
            }
            if state.smooth().hessian_matrix().is_none() {
                return refuse("forest rules need a problem whose Hessian is a sparse matrix");
            }
        }
        if matches!(state.separable(), super::Separable::Groups(_))
            && matches!(
                self,
                Rule::GaussSouthwellQuadratic | Rule::MatchingPursuit | Rule::MaximumImprovement
            )
        {
            return refuse(
                "group penalties go with the rules random, cyclic, permuted, lipschitz, gs, gsl and gsd",
            );
        }
        Ok(match self {
            Rule::Random => Box::new(random::Random),
            Rule::Cyclic => Box::new(cyclic::Cyclic::default()),
            Rule::Permuted => Box::new(permuted::Permuted::default()),
            Rule::Lipschitz => Box::new(lipschitz::Lipschitz::new(state, blocks)),
            Rule::GaussSouthwell => Box::new(gauss_southwell::GaussSouthwell::new(state)),
            Rule::GaussSouthwellLipschitz => {
                Box::new(gauss_southwell_lipschitz::GaussSouthwellLipschitz::new(state, blocks))
            }
            Rule::GaussSouthwellDiagonal => Box::new(gauss_southwell_diagonal::GaussSouthwellDiagonal),
            Rule::GaussSouthwellQuadratic if fixed => Box::new(quadratic::Quadratic::default()),
            Rule::GaussSouthwellQuadratic => Box::new(hard_thresholding::HardThresholding::default()),
            Rule::MatchingPursuit if fixed => Box::new(quadratic::Quadratic::default()),
            Rule::MatchingPursuit => Box::new(matching_pursuit::MatchingPursuit),
            Rule::MaximumImprovement => Box::new(maximum_improvement::MaximumImprovement),
            Rule::GreedyForest => Box::new(forest::Forest { greedy: true }),
            Rule::RandomForest => Box::new(forest::Forest { greedy: false }),
        })
    }
}

/// The unknowns with the largest scores, ascending; ties go to the smaller index. Linear time.
pub(super) fn largest(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    let count = count.min(order.len());
    if count > 0 && count < order.len() {
        order.select_nth_unstable_by(count - 1, |&a, &b| {
            scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b))
        });
    }
    let mut top: Vec<usize> = order[..count].iter().map(|&i| i as usize).collect();
    top.sort_unstable();
    top
}

/// The first of the largest values.
pub(super) fn argmax(values: impl Iterator<Item = f64>) -> Option<usize> {
    let better = |best: Option<(usize, f64)>, (k, value)| match best {
        Some((_, most)) if !(value > most) => best,
        _ => Some((k, value)),
    };
    values.enumerate().fold(None, better).map(|(k, _)| k)
}

/// The greedy choice: the fixed block, or the variable one, with the largest decrease at given curvatures.
fn greedy(
    state: &State,
    blocks: &Blocks,
    of_unknown: impl Fn(usize) -> f64,
    of_block: impl Fn(usize, usize) -> f64,
) -> Vec<usize> {
    match blocks {
        Blocks::Variable(size) => {
            let score = |i: usize| state.decrease(i, state.gradient()[i], of_unknown(i));
            largest(&(0..state.unknowns()).map(score).collect::<Vec<_>>(), *size)
        }
        Blocks::Fixed(blocks) => {
            let score = |(k, block): (usize, &Vec<usize>)| state.block_decrease(block, |i| of_block(k, i));
            argmax(blocks.iter().enumerate().map(score)).map_or_else(Vec::new, |k| blocks[k].clone())
        }
    }
}
