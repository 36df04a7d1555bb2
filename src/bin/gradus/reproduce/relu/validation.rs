//! The weight of the regulariser, chosen by validation.

use gradus::control::Limits;
use gradus::linalg::DesignMatrix;
use gradus::read::libsvm::{self, LabelledData};
use gradus::relu::gated::GatedRelu;
use gradus::relu::{Loss, Patterns, Training};
use gradus::report::html::Section;

use super::{Chapter, Context, HEART, columns, solver};
use crate::dataset::{self, Preparation};
use crate::output::Failure;

/// The published protocol in small: ten weights of the regulariser, five folds, ReLU and gated units.
pub fn experiment(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("ReLU networks: ten weights of the regulariser, five folds")?;
    let data = libsvm::parse(HEART.1, HEART.0, &libsvm::Options::default())?;
    let mut section = Section {
        title: "ReLU networks: validation over the weight of the regulariser".into(),
        text: "Mean validation accuracy over five folds; lambda is beta over the number of rows.".into(),
        columns: columns(&["lambda", "ReLU, 50 patterns", "gated, 100 gates"]),
        ..Section::default()
    };
    for k in 0..10 {
        let lambda = 10f64.powf(-8.0 + 5.0 * k as f64 / 9.0);
        let (mut relu, mut gated) = (0.0, 0.0);
        for fold in 0..5 {
            let n = data.labels.len();
            let rotated: Vec<usize> = (0..n).map(|i| (i + fold) % n).collect();
            let pick = LabelledData {
                matrix: {
                    let mut triplets = sprs::TriMatI::new((n, data.matrix.cols()));
                    for (row, &i) in rotated.iter().enumerate() {
                        for (j, &v) in
                            data.matrix.outer_view(i).iter().flat_map(|r| r.iter().collect::<Vec<_>>())
                        {
                            triplets.add_triplet(row, j, v);
                        }
                    }
                    triplets.to_csr()
                },
                labels: rotated.iter().map(|&i| data.labels[i]).collect(),
            };
            let (train, held) = dataset::split_every(pick, 5);
            let (preparation, design) = Preparation::fit(train.matrix, true, true)?;
            let held_design = DesignMatrix::from_sparse_or_dense(dataset::with_ones(&held.matrix))?;
            let held_design = match preparation.standardization {
                Some(s) => held_design.standardized(s)?,
                None => held_design,
            };
            let beta = lambda * train.labels.len() as f64;
            let training = Training::new(&design, train.labels, Loss::Squared, beta)?;
            let solution = solver(1e-3, 50).solve(&training)?;
            let right = |z: &[f64]| gradus::relu::network::accuracy(z, &held.labels) / 5.0;
            relu += right(&solution.network.predict(&held_design));
            let gates = Patterns::sample(&training, 100, 1)?;
            let limits = Limits { tolerance: 1e-3, ..Limits::default() };
            let units = GatedRelu { limits, ..GatedRelu::default() }.solve(
                &training,
                &gates,
                &mut context.monitor(),
            )?;
            gated += right(&units.predict(&held_design));
            if chapter.note(solution.status) {
                return Ok(());
            }
        }
        section.rows.push(vec![format!("{lambda:.1e}"), format!("{relu:.3}"), format!("{gated:.3}")]);
    }
    chapter.sections.push(section);
    Ok(())
}
