//! Functions of one type over all their users, in blocks of lanes.

use std::ops::Range;

use crate::read::sif::function::{Function, Lanes, Outputs, Program};

/// Most groups of four lanes in a block.
const MAX_WIDTH: usize = 8;

/// Blocks that one thread takes at a time, and the least work (lanes times instructions) that is worth a second thread.
const BLOCKS_PER_TASK: usize = 16;
const PARALLEL_WORK: usize = 200_000;

/// Which results are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub value: bool,
    pub first: bool,
    pub second: bool,
}

/// All users of one function. User number p is lane p % lanes of block p / lanes.
#[derive(Clone)]
pub(super) struct Batch {
    pub function: Function,
    pub count: usize,
    /// Groups of four lanes per block.
    width: usize,
    /// Where each argument comes from: `[block][argument][lane]`; idle lanes repeat the first.
    sources: Vec<u32>,
    /// Parameters that differ between users, and their values `[block][parameter][group]`.
    varying: Vec<usize>,
    parameters: Vec<Lanes>,
    /// Where the results begin in the shared buffers, in groups of lanes.
    pub value_start: usize,
    pub first_start: usize,
    pub second_start: usize,
    /// Registers with the constants filled in.
    pub registers: Vec<Lanes>,
}

/// Sizes of the shared buffers, in groups of lanes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    pub value: usize,
    pub first: usize,
    pub second: usize,
}

/// A user of a function: what its arguments are and the values of its parameters.
pub(super) struct User<'a> {
    pub arguments: &'a [u32],
    pub parameters: &'a [f64],
}

/// For each parameter its value where all users share it.
pub(super) fn shared_parameters<'a>(
    count: usize,
    mut users: impl Iterator<Item = &'a [f64]>,
) -> Vec<Option<f64>> {
    let Some(first) = users.next() else { return vec![None; count] };
    let mut shared: Vec<Option<f64>> = first.iter().map(|&value| Some(value)).collect();
    for parameters in users {
        for (shared, value) in shared.iter_mut().zip(parameters) {
            if shared.is_some_and(|shared| shared.to_bits() != value.to_bits()) {
                *shared = None;
            }
        }
    }
    shared
}

impl Batch {
    /// Lays out the users; `shared` are the parameters that the function was compiled with.
    pub fn new(function: Function, shared: &[Option<f64>], users: &[User], sizes: &mut Sizes) -> Self {
        let count = users.len();
        let width = count.div_ceil(4).clamp(1, MAX_WIDTH);
        let lanes = 4 * width;
        let varying: Vec<usize> = (0..shared.len()).filter(|&k| shared[k].is_none()).collect();
        let mut sources = Vec::with_capacity(count.next_multiple_of(lanes) * function.arguments);
        let mut parameters = Vec::new();
        for block in users.chunks(lanes) {
            let user = |lane: usize| block.get(lane).unwrap_or(&block[0]);
            for argument in 0..function.arguments {
                sources.extend((0..lanes).map(|lane| user(lane).arguments[argument]));
            }
            for &k in &varying {
                let group = |g: usize| std::array::from_fn(|lane| user(4 * g + lane).parameters[k]);
                parameters.extend((0..width).map(group));
            }
        }
        let mut registers = vec![[0.0; 4]; function.registers() * width];
        for (constant, register) in function.layout.constants.iter().zip(registers.chunks_mut(width)) {
            register.fill([*constant; 4]);
        }
        registers[function.layout.weight() * width..][..width].fill([1.0; 4]);
        let blocks = count.div_ceil(lanes);
        let batch = Self {
            count,
            width,
            sources,
            varying,
            parameters,
            value_start: sizes.value,
            first_start: sizes.first,
            second_start: sizes.second,
            registers,
            function,
        };
        sizes.value += blocks * width;
        sizes.first += blocks * width * batch.function.first.len();
        sizes.second += blocks * width * batch.function.second.len();
        batch
    }

    fn lanes(&self) -> usize {
        4 * self.width
    }

    pub fn blocks(&self) -> usize {
        self.count.div_ceil(self.lanes())
    }

    /// The blocks that hold the users of a range.
    pub fn blocks_of(&self, users: Range<usize>) -> Range<usize> {
        if users.is_empty() { 0..0 } else { users.start / self.lanes()..users.end.div_ceil(self.lanes()) }
    }

    /// What argument `slot` of user p is.
    pub fn source(&self, p: usize, slot: usize) -> u32 {
        let (block, lane) = (p / self.lanes(), p % self.lanes());
        self.sources[(block * self.function.arguments + slot) * self.lanes() + lane]
    }

    /// Where the value of user p is in the buffer of values, counted in numbers.
    pub fn value_index(&self, p: usize) -> usize {
        4 * self.value_start + p
    }

    fn index(&self, start: usize, outputs: usize, p: usize, k: usize) -> usize {
        let (block, lane) = (p / self.lanes(), p % self.lanes());
        4 * start + (block * outputs + k) * self.lanes() + lane
    }

    /// Where first derivative k of user p is.
    pub fn first_index(&self, p: usize, k: usize) -> usize {
        self.index(self.first_start, self.function.first.len(), p, k)
    }

    /// Where second derivative k of user p is.
    pub fn second_index(&self, p: usize, k: usize) -> usize {
        self.index(self.second_start, self.function.second.len(), p, k)
    }

    fn program(&self, wanted: Wanted) -> Option<&Program> {
        let function = &self.function;
        match (wanted.value, wanted.first, wanted.second) {
            (false, false, false) => None,
            (true, false, false) => Some(&function.value),
            (false, true, false) => Some(&function.gradient),
            (true, true, false) => Some(&function.value_gradient),
            (false, false, true) => Some(&function.hessian),
            (_, _, true) => Some(&function.value_gradient_hessian),
        }
    }

    /// Evaluates `blocks` at the arguments `x`. `weights` (laid out as the values) multiply the second derivatives.
    /// The outputs are the whole buffers; `registers` is a copy of those of the batch.
    pub fn evaluate(
        &self,
        x: &[f64],
        blocks: Range<usize>,
        wanted: Wanted,
        weights: Option<&[Lanes]>,
        outputs: &mut Outputs,
        registers: &mut [Lanes],
    ) {
        let Some(program) = self.program(wanted) else { return };
        if blocks.is_empty() {
            return;
        }
        let [value, first, second] = self.strides();
        let part = |buffer: &[Lanes], start: usize, stride: usize| {
            // The second derivatives have no memory until they are wanted.
            let end = buffer.len();
            (start + blocks.start * stride).min(end)..(start + blocks.end * stride).min(end)
        };
        let ranges = [
            part(outputs.value, self.value_start, value),
            part(outputs.first, self.first_start, first),
            part(outputs.second, self.second_start, second),
        ];
        let [value, first, second] = ranges;
        let outputs = Outputs {
            value: &mut outputs.value[value],
            first: &mut outputs.first[first],
            second: &mut outputs.second[second],
        };
        let job = Job { batch: self, program, x, weights };
        let work = blocks.len() * self.lanes() * program.length();
        if work >= PARALLEL_WORK && blocks.len() > BLOCKS_PER_TASK && rayon::current_num_threads() > 1 {
            job.split(blocks, outputs);
        } else {
            job.run(blocks, outputs, registers);
        }
    }

    /// Groups of lanes that a block has of values, first and second derivatives.
    fn strides(&self) -> [usize; 3] {
        [1, self.function.first.len(), self.function.second.len()].map(|outputs| outputs * self.width)
    }

    /// Multiplies the second derivatives of all users by `weights`.
    pub fn scale_second(&self, weights: &[Lanes], second: &mut [Lanes]) {
        let outputs = self.function.second.len();
        for block in 0..self.blocks() {
            let weights = &weights[self.value_start + block * self.width..][..self.width];
            let second = &mut second[self.second_start + block * outputs * self.width..];
            for output in second.chunks_mut(self.width).take(outputs) {
                for (output, weight) in output.iter_mut().zip(weights) {
                    *output = std::array::from_fn(|lane| output[lane] * weight[lane]);
                }
            }
        }
    }
}

/// A program over some blocks of a batch.
struct Job<'a> {
    batch: &'a Batch,
    program: &'a Program,
    x: &'a [f64],
    weights: Option<&'a [Lanes]>,
}

impl Job<'_> {
    /// Halves the blocks until they are few; results do not depend on who computes them.
    fn split(&self, blocks: Range<usize>, outputs: Outputs) {
        if blocks.len() <= BLOCKS_PER_TASK {
            let mut registers = self.batch.registers.clone();
            return self.run(blocks, outputs, &mut registers);
        }
        let half = blocks.len() / 2;
        let [value, first, second] = self.batch.strides().map(|stride| stride * half);
        let (value_a, value_b) = outputs.value.split_at_mut(value.min(outputs.value.len()));
        let (first_a, first_b) = outputs.first.split_at_mut(first.min(outputs.first.len()));
        let (second_a, second_b) = outputs.second.split_at_mut(second.min(outputs.second.len()));
        let middle = blocks.start + half;
        rayon::join(
            || self.split(blocks.start..middle, Outputs { value: value_a, first: first_a, second: second_a }),
            || self.split(middle..blocks.end, Outputs { value: value_b, first: first_b, second: second_b }),
        );
    }

    fn run(&self, blocks: Range<usize>, outputs: Outputs, registers: &mut [Lanes]) {
        let Batch { width, count, .. } = *self.batch;
        let (lanes, strides) = (4 * width, self.batch.strides());
        let start = blocks.start;
        for block in blocks {
            self.load(block, registers);
            let [value, first, second] = strides.map(|stride| (block - start) * stride);
            let mut outputs = Outputs {
                value: tail(outputs.value, value),
                first: tail(outputs.first, first),
                second: tail(outputs.second, second),
            };
            let live = (count - block * lanes).min(lanes);
            self.program.run(&self.batch.function.layout, registers, width, live, &mut outputs);
        }
    }

    /// Fills the input registers for a block.
    fn load(&self, block: usize, registers: &mut [Lanes]) {
        let Batch { width, ref function, ref sources, ref varying, ref parameters, value_start, .. } =
            *self.batch;
        let layout = &function.layout;
        let gathered = &mut registers[layout.input(0) * width..][..function.arguments * width];
        let sources = &sources[block * function.arguments * 4 * width..];
        for (register, sources) in gathered.iter_mut().zip(sources.chunks_exact(4)) {
            *register = std::array::from_fn(|lane| self.x[sources[lane] as usize]);
        }
        for (position, &k) in varying.iter().enumerate() {
            let from = &parameters[(block * varying.len() + position) * width..][..width];
            registers[layout.input(function.arguments + k) * width..][..width].copy_from_slice(from);
        }
        let weight = &mut registers[layout.weight() * width..][..width];
        match self.weights {
            Some(weights) => weight.copy_from_slice(&weights[value_start + block * width..][..width]),
            None => weight.fill([1.0; 4]),
        }
    }
}

fn tail(buffer: &mut [Lanes], from: usize) -> &mut [Lanes] {
    let from = from.min(buffer.len());
    &mut buffer[from..]
}
