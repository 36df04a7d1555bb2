//! The paper's experiments: how far each rule, partition and update comes in so many steps.

use gradus::control::{History, Limits, Status};
use gradus::coordinate::block::{BlockCoordinateDescent, Partition, Rule, UpdateRule};
use gradus::coordinate::{CoordinateDescent, Measure};
use gradus::linalg::factor::SparseCholesky;
use gradus::problem::{BoxQuadratic, LinearModel, MultinomialModel};
use gradus::report::html::Section;
use gradus::report::{Plot, Scale, Series};
use serde_json::json;

use super::instances;
use crate::output::Failure;
use crate::reproduce::{Chapter, Context};

use Partition::{Average, Colours, Forests, Order, Sort, Variable};
use Rule::{
    Cyclic, GaussSouthwell as Gs, GaussSouthwellDiagonal as Gsd, GaussSouthwellLipschitz as Gsl,
    GaussSouthwellQuadratic as Gsq, GreedyForest, Lipschitz, MatchingPursuit as Omp, Random, RandomForest,
};
use UpdateRule::{Accumulated, Forest, Gradient, Matrix, Newton, ProxNewton, TwoMetric};

/// One curve: its name and the building blocks behind it.
type Curve = (&'static str, Partition, Rule, UpdateRule);

/// What is minimised.
enum Instance {
    Linear(LinearModel),
    Softmax(MultinomialModel),
    Quadratic(BoxQuadratic),
}

/// Curves on one instance.
struct Experiment {
    name: &'static str,
    title: &'static str,
    text: &'static str,
    instance: Instance,
    /// Factor of the objective: the paper's is a sum over rows, ours a mean.
    factor: f64,
    optimum: f64,
    block_size: usize,
    steps: usize,
    curves: Vec<Curve>,
    /// A second picture against seconds.
    against_time: bool,
}

/// Rows in the table of steps, and points on each curve.
const POINTS: usize = 100;

/// Runs all experiments; small instances by default, the paper's with `--full`.
pub fn run(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    let full = context.full;
    let (n, p) = if full { (1000, 10_000) } else { (300, 1500) };
    let makers: [&dyn Fn() -> Result<Vec<Experiment>, Failure>; 5] = [
        &|| least_squares(n, p),
        &|| logistic(n, p, if full { 50 } else { 20 }),
        &|| if full { softmax(1000, 1000, 50) } else { softmax(200, 100, 10) },
        &|| nonnegative(n, p),
        &|| trees(full),
    ];
    for make in makers {
        for experiment in make()? {
            if chapter.status == Status::Interrupted {
                return Ok(());
            }
            experiment.run(context, chapter)?;
        }
    }
    Ok(())
}

fn least_squares(n: usize, p: usize) -> Result<Vec<Experiment>, Failure> {
    let model = instances::least_squares(n, p, 1)?;
    let base = |name, title, text, block_size, curves, against_time| Experiment {
        name,
        title,
        text,
        instance: Instance::Linear(model.clone()),
        factor: n as f64,
        // fewer rows than columns: the fit is perfect
        optimum: 0.0,
        block_size,
        steps: 500,
        curves,
        against_time,
    };
    Ok(vec![
        base(
            "rules-gradient",
            "Least squares, gradient steps: rules that know curvature, blocks chosen afresh",
            "Columns of very different scales, blocks of five. A rule that weighs the gradient by the block's curvature \
             (gsl) beats one that does not (gs), and both leave random and cyclic choices behind. Variable blocks gain \
             most where the rule knows least.",
            5,
            vec![
                ("random", Variable, Random, Gradient),
                ("cyclic", Variable, Cyclic, Gradient),
                ("lipschitz", Variable, Lipschitz, Gradient),
                ("gs, fixed", Sort, Gs, Gradient),
                ("gs, variable", Variable, Gs, Gradient),
                ("gsl, fixed", Sort, Gsl, Gradient),
                ("gsl, variable", Variable, Gsl, Gradient),
            ],
            false,
        ),
        base(
            "rules-matrix",
            "Least squares, exact block steps: second-order updates with rules to match",
            "The block's own quadratic is minimised exactly. Decades below the gradient's curves on the same instance; \
             the diagonal rule (gsd) costs no more than gs, thresholding (gsq) and matching pursuit (omp) some \
             products more. The second picture counts seconds.",
            5,
            vec![
                ("gs, fixed", Sort, Gs, Matrix),
                ("gsd, fixed", Sort, Gsd, Matrix),
                ("gs, variable", Variable, Gs, Matrix),
                ("gsl, variable", Variable, Gsl, Matrix),
                ("gsd, variable", Variable, Gsd, Matrix),
                ("gsq, variable", Variable, Gsq, Matrix),
                ("omp, variable", Variable, Omp, Matrix),
            ],
            true,
        ),
        base(
            "partitions",
            "How fixed blocks are cut",
            "Blocks of twenty, gsl with gradient steps. Sorting puts the few large curvatures together, so that every \
             other block has a small one; spreading them evenly (average) gives every block a large one. Curvatures \
             found by trial and kept (accumulate) do not depend on the bound.",
            20,
            vec![
                ("order", Order, Gsl, Gradient),
                ("average", Average, Gsl, Gradient),
                ("sort", Sort, Gsl, Gradient),
                ("sort, accumulate", Sort, Gsl, Accumulated),
            ],
            false,
        ),
    ])
}

fn logistic(n: usize, p: usize, block_size: usize) -> Result<Vec<Experiment>, Failure> {
    Ok(vec![Experiment {
        name: "logistic-newton",
        title: "Logistic regression: Newton steps on blocks, with a line search",
        text: "More columns than rows, so the classes are separable and the loss can go to zero. The order of the rules is \
               that of least squares; matching pursuit takes the fewest steps.",
        instance: Instance::Linear(instances::logistic(n, p, 1)?),
        factor: n as f64,
        optimum: 0.0,
        block_size,
        steps: 300,
        curves: vec![
            ("gs, variable", Variable, Gs, Newton),
            ("gsd, fixed", Sort, Gsd, Newton),
            ("gsd, variable", Variable, Gsd, Newton),
            ("gsq, variable", Variable, Gsq, Newton),
            ("omp, variable", Variable, Omp, Newton),
            ("gsd, fixed, gradient", Sort, Gsd, Gradient),
            ("gsd, fixed, accumulate", Sort, Gsd, Accumulated),
        ],
        against_time: false,
    }])
}

fn softmax(n: usize, p: usize, k: usize) -> Result<Vec<Experiment>, Failure> {
    Ok(vec![Experiment {
        name: "softmax",
        title: "Softmax: the same rules on several classes",
        text: "Unknowns are pairs of a feature and a class; the block's bound is Bohning's. Random blocks hardly move in \
               so many steps; greedy, curvature-aware, variable ones with exact block steps go furthest.",
        instance: Instance::Softmax(instances::softmax(n, p, k, 1)?),
        factor: n as f64,
        optimum: 0.0,
        block_size: 5,
        steps: 500,
        curves: vec![
            ("random, gradient", Variable, Random, Gradient),
            ("gs, fixed, gradient", Sort, Gs, Gradient),
            ("gs, variable, gradient", Variable, Gs, Gradient),
            ("gsl, variable, gradient", Variable, Gsl, Gradient),
            ("gs, variable, matrix", Variable, Gs, Matrix),
            ("gsd, variable, matrix", Variable, Gsd, Matrix),
        ],
        against_time: false,
    }])
}

fn nonnegative(n: usize, p: usize) -> Result<Vec<Experiment>, Failure> {
    let model = instances::nonnegative_least_squares(n, p, 1)?;
    let limits = Limits { tolerance: 1e-15, max_iterations: 200, ..Limits::default() };
    let best = CoordinateDescent { limits, ..Default::default() }.solve(&model)?;
    // a block that covers the support, and one that does not
    let cover = (2 * best.nonzeros()).max(10).div_ceil(10) * 10;
    let base = |name, title, text, block_size| Experiment {
        name,
        title,
        text,
        instance: Instance::Linear(model.clone()),
        factor: n as f64,
        optimum: n as f64 * best.objective,
        block_size,
        steps: 200,
        curves: vec![
            ("random, two-metric", Variable, Random, TwoMetric),
            ("gradient, fixed", Sort, Gsd, Gradient),
            ("two-metric, fixed", Sort, Gsd, TwoMetric),
            ("gradient", Variable, Gsd, Gradient),
            ("prox-newton", Variable, Gsd, ProxNewton),
            ("two-metric", Variable, Gsd, TwoMetric),
        ],
        against_time: false,
    };
    Ok(vec![
        base(
            "active-set-small",
            "Non-negative least squares with an l1 penalty, blocks of five",
            "Once the right coefficients are zero the rest is a smooth problem. Blocks of five find them, but converge \
             linearly all the same.",
            5,
        ),
        base(
            "active-set-large",
            "The same with blocks that cover the support",
            "As soon as the support is right one second-order step on it ends the run (two-metric projection, \
             prox-Newton); gradient steps find the support and creep. The trace's column support_changed says when the \
             support settles.",
            cover,
        ),
    ])
}

fn trees(full: bool) -> Result<Vec<Experiment>, Failure> {
    let (m, labels) = if full { (50, 100) } else { (30, 40) };
    let lattice = instances::lattice(m, labels, 1)?;
    let moons = if full { instances::moons(2000, 100, 1)? } else { instances::moons(600, 40, 1)? };
    let base = |name, title, text, problem: &BoxQuadratic| -> Result<Experiment, Failure> {
        let mut x = problem.linear.clone();
        let mut cholesky = SparseCholesky::new();
        cholesky.factor(problem.matrix.view())?;
        cholesky.solve_in_place(&mut x)?;
        // at the minimiser x'Qx = c'x
        let optimum = -0.5 * x.iter().zip(&problem.linear).map(|(x, c)| x * c).sum::<f64>();
        Ok(Experiment {
            name,
            title,
            text,
            instance: Instance::Quadratic(problem.clone()),
            factor: 1.0,
            optimum,
            block_size: (problem.linear.len() as f64).cbrt() as usize,
            steps: 500,
            curves: vec![
                ("general block", Variable, Gs, Matrix),
                ("red-black", Colours, Cyclic, Forest),
                ("random tree", Variable, RandomForest, Forest),
                ("tree partition", Forests, Cyclic, Forest),
                ("greedy tree", Variable, GreedyForest, Forest),
            ],
            against_time: false,
        })
    };
    Ok(vec![
        base(
            "trees-lattice",
            "Message passing: labels on a lattice",
            "Every curve's step costs about as much. A general block of the cube root of the unknowns gets nowhere; \
             colour classes are divisions; forests hold half of the unknowns and are solved exactly in linear time.",
            lattice.quadratic(),
        )?,
        base(
            "trees-moons",
            "Message passing: two moons",
            "Five nearest neighbours of points on two half circles, a few of them labelled. Curvatures are nearly equal, \
             so that only the shape of the blocks tells the curves apart.",
            moons.quadratic(),
        )?,
    ])
}

impl Experiment {
    fn solver(&self, curve: &Curve) -> BlockCoordinateDescent {
        let (_, partition, rule, update) = curve;
        BlockCoordinateDescent {
            limits: Limits { tolerance: 0.0, max_iterations: self.steps, time_limit: None },
            measure: Measure::Gradient,
            partition: partition.clone(),
            rule: *rule,
            update: *update,
            block_size: self.block_size,
            check_every: self.steps.div_ceil(POINTS),
            seed: 1,
        }
    }

    fn solve(&self, curve: &Curve, context: &Context) -> Result<(Status, History), Failure> {
        let (solver, monitor) = (self.solver(curve), &mut context.monitor());
        let summary = match &self.instance {
            Instance::Linear(model) => solver.solve_with(model, None, monitor)?.summary,
            Instance::Softmax(model) => solver.solve_multinomial(model, None, monitor)?.summary,
            Instance::Quadratic(problem) => solver.solve_quadratic(problem, None, monitor)?.summary,
        };
        Ok((summary.status, summary.history))
    }

    /// Runs every curve, writes traces and pictures, and appends a section.
    fn run(&self, context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
        context.say(self.title)?;
        let mut section = Section {
            title: self.title.into(),
            text: self.text.into(),
            columns: [
                "blocks and rule",
                "steps",
                "objective - optimum",
                "seconds",
                "support settled at step",
            ]
            .map(String::from)
            .into(),
            ..Section::default()
        };
        let (mut by_steps, mut by_seconds) = (Vec::new(), Vec::new());
        for curve in &self.curves {
            let (status, history) = self.solve(curve, context)?;
            if status == Status::Interrupted {
                chapter.note(status);
                return Ok(());
            }
            // what is left below rounding of the optimum says nothing
            let floor = 4.0 * f64::EPSILON * self.optimum.abs();
            let error = |objective: f64| (self.factor * objective - self.optimum).max(floor);
            let points = |x: &dyn Fn(usize) -> f64| -> Vec<(f64, f64)> {
                history.records.iter().enumerate().map(|(k, r)| (x(k), error(r.objective))).collect()
            };
            let steps = |k: usize| history.records[k].extra[0];
            let last = history.records.len() - 1;
            // the first record from which on the support is the last one's
            let settled = (0..=last)
                .rev()
                .take_while(|&k| history.records[k].extra[4] == history.records[last].extra[4]);
            let settled = settled.last().map_or(0.0, steps);
            let seconds = history.records[last].seconds;
            let end = error(history.records[last].objective);
            by_steps.push(Series { name: curve.0.into(), points: points(&steps) });
            by_seconds.push(Series { name: curve.0.into(), points: points(&|k| history.records[k].seconds) });
            let kinks = matches!(&self.instance, Instance::Linear(model) if !model.penalty.is_smooth());
            let settled_text = if kinks { format!("{settled}") } else { "-".into() };
            section.rows.push(vec![
                curve.0.into(),
                steps(last).to_string(),
                format!("{end:.2e}"),
                format!("{seconds:.3}"),
                settled_text,
            ]);
            context.say(&format!(
                "  {:24} {end:10.2e} after {} steps  {seconds:.3} s",
                curve.0,
                steps(last)
            ))?;
            chapter.runs.push(json!({
                "experiment": self.name, "curve": curve.0, "steps": steps(last), "error": end, "seconds": seconds,
            }));
            let mut trace = Vec::new();
            history.write_csv(&mut trace)?;
            context.write(
                &format!("{}-{}.csv", self.name, curve.0.replace(", ", "-").replace(' ', "-")),
                &trace,
            )?;
        }
        self.picture(context, &mut section, "steps", by_steps)?;
        if self.against_time {
            self.picture(context, &mut section, "seconds", by_seconds)?;
        }
        chapter.sections.push(section);
        Ok(())
    }

    fn picture(
        &self,
        context: &Context,
        section: &mut Section,
        against: &str,
        series: Vec<Series>,
    ) -> Result<(), Failure> {
        let plot = Plot {
            x_label: against.into(),
            y_label: "objective - optimum".into(),
            y_scale: Scale::Log,
            series,
            width: 480,
            height: 340,
            ..Plot::default()
        };
        let suffix = if against == "steps" { String::new() } else { format!("-{against}") };
        plot.write(&context.out.join(format!("{}{suffix}.svg", self.name)))?;
        let size = self.block_size;
        section
            .figures
            .push((plot.svg()?, format!("Against {against}, blocks of {size} where they are of a size")));
        Ok(())
    }
}
