//! A built-in simulation: the heat equation on the unit square with a coefficient that changes in time.

use sprs::CsMatI;

use super::{Error, Operator, StreamSystem};

/// The 5-point Laplacian on a grid of `lines` lines of `points` points, zero beyond the border: 4 on the diagonal, -1 beside it.
pub fn laplacian(points: usize, lines: usize) -> CsMatI<f64, u32> {
    let n = points * lines;
    let mut starts = vec![0u32];
    let (mut columns, mut values) = (Vec::with_capacity(5 * n), Vec::with_capacity(5 * n));
    for i in 0..n {
        let (line, point) = (i / points, i % points);
        let neighbours = [
            (line > 0).then(|| i - points),
            (point > 0).then(|| i - 1),
            Some(i),
            (point + 1 < points).then(|| i + 1),
            (line + 1 < lines).then(|| i + points),
        ];
        for j in neighbours.into_iter().flatten() {
            columns.push(j as u32);
            values.push(if j == i { 4.0 } else { -1.0 });
        }
        starts.push(columns.len() as u32);
    }
    CsMatI::new((n, n), starts, columns, values)
}

/// Crank-Nicolson steps of u_t = kappa(t) Laplace(u) + f on the unit square, u = 0 on its border (Khodak, Chow, Balcan, Talwalkar 2024):
/// a sequence of systems (I + a L) u' = (I - a L) u + dt f with L the 5-point Laplacian and a = kappa dt / (2 h^2).
///
/// kappa = max(0.1 sin(2 pi t), -10 sin(2 pi t)) changes over two orders of magnitude; f is a bump that runs in a circle. Stated as
/// (L + I / a) u' = .../a, the systems differ by a shift: the matrix is made once.
#[derive(Debug)]
pub struct Heat {
    cells: usize,
    operator: Operator,
    u: Vec<f64>,
    rhs: Vec<f64>,
    steps: usize,
}

/// Length of a time step.
const TIME_STEP: f64 = 1e-3;

impl Heat {
    /// On a grid of `cells` x `cells` cells: (cells - 1)^2 unknowns.
    ///
    /// # Errors
    /// `Option` for fewer than 2 or more than 4096 cells.
    pub fn new(cells: usize) -> Result<Self, Error> {
        if !(2..=4096).contains(&cells) {
            return Err(Error::Option(format!(
                "a grid of {cells} cells a side; from 2 to 4096 are possible"
            )));
        }
        let points = cells - 1;
        let operator = Operator::new(laplacian(points, points).view())?;
        let mut u = vec![0.0; points * points];
        add_bump(&mut u, points, [0.5, 0.5], 0.25, 1.0);
        let rhs = vec![0.0; u.len()];
        Ok(Self { cells, operator, u, rhs, steps: 0 })
    }

    /// kappa at time t.
    pub fn coefficient(t: f64) -> f64 {
        let sine = (2.0 * std::f64::consts::PI * t).sin();
        (0.1 * sine).max(-10.0 * sine)
    }

    /// The range of kappa.
    pub const RANGE: (f64, f64) = (0.0, 10.0);

    /// The temperatures, line by line.
    pub fn temperatures(&self) -> &[f64] {
        &self.u
    }

    /// Steps made so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The system of the next step. Its context is kappa at the step's start, while the matrix has that of its middle; it starts at the
    /// temperatures before.
    ///
    /// # Errors
    /// None in practice: the matrix stays positive definite.
    pub fn system(&mut self) -> Result<StreamSystem<'_>, Error> {
        let time = self.steps as f64 * TIME_STEP;
        let middle = (self.steps as f64 + 0.5) * TIME_STEP;
        let cells = self.cells as f64;
        let a = (0.5 * Self::coefficient(middle) * TIME_STEP * cells * cells).max(1e-12);
        // L u first: the operator is L once its shift is 0
        self.operator.set_shift(0.0)?;
        self.operator.multiply(&self.u, &mut self.rhs);
        self.rhs.iter_mut().zip(&self.u).for_each(|(rhs, u)| *rhs = u / a - *rhs);
        let angle = 16.0 * std::f64::consts::PI * middle;
        let centre = [0.5 + 0.25 * angle.cos(), 0.5 + 0.25 * angle.sin()];
        add_bump(&mut self.rhs, self.cells - 1, centre, 0.125, 32.0 * TIME_STEP / a);
        self.operator.set_shift(1.0 / a)?;
        let context = Self::coefficient(time);
        Ok(StreamSystem { operator: &self.operator, rhs: &self.rhs, start: Some(&self.u), context })
    }

    /// Takes the solution of [`system`](Self::system) as the temperatures after the step.
    ///
    /// # Errors
    /// `Length` for another number of unknowns.
    pub fn accept(&mut self, x: Vec<f64>) -> Result<(), Error> {
        if x.len() != self.u.len() {
            return Err(Error::Length { what: "the solution", given: x.len(), rows: self.u.len() });
        }
        self.u = x;
        self.steps += 1;
        Ok(())
    }
}

/// values += factor exp(1 - 1 / (1 - |point - centre|^2 / radius^2)) inside the circle, on the interior points of the unit square.
fn add_bump(values: &mut [f64], points: usize, centre: [f64; 2], radius: f64, factor: f64) {
    let width = (points + 1) as f64;
    for (line, values) in values.chunks_exact_mut(points).enumerate() {
        let across = (line + 1) as f64 / width - centre[0];
        for (point, value) in values.iter_mut().enumerate() {
            let along = (point + 1) as f64 / width - centre[1];
            let distance = (across * across + along * along) / (radius * radius);
            if distance < 1.0 {
                *value += factor * (1.0 - 1.0 / (1.0 - distance)).exp();
            }
        }
    }
}
