//! Loops: cards compiled once, run many times.

use super::card::Card;
use super::decoder::Decoder;
use super::error::{SifError, SifErrorKind};
use super::parameters::{ParameterCard, Parameters};
use super::section::DataCard;

/// Deepest nesting of loops.
const DEEPEST: usize = 3;

/// A compiled card.
#[derive(Clone, Copy, Debug)]
pub(super) enum Instruction {
    Parameter(ParameterCard),
    Data(DataCard),
    Do(Loop),
    /// The end of the innermost loop.
    End,
}

/// A DO card with its DI card; the bounds are numbers of integer parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loop {
    line: u32,
    columns: [u32; 3],
    variable: u32,
    start: u32,
    end: u32,
    step: Option<u32>,
    /// Index of the instruction behind the matching End.
    after: usize,
    nested: bool,
}

/// The loops that are open while cards are read, with their bodies.
#[derive(Debug, Default)]
pub(super) struct Program {
    instructions: Vec<Instruction>,
    /// Indices of the DO instructions of the open loops.
    open: Vec<usize>,
}

/// A loop that runs.
struct Running {
    body: usize,
    variable: u32,
    value: i64,
    end: i64,
    step: i64,
}

impl Program {
    /// Whether a loop is open.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Line of the DO card of the innermost open loop.
    pub(super) fn open_line(&self) -> Option<u32> {
        self.open.last().and_then(|&at| match &self.instructions[at] {
            Instruction::Do(looped) => Some(looped.line),
            _ => None,
        })
    }

    pub(super) fn push(&mut self, instruction: Instruction) {
        self.instructions.push(instruction);
    }

    /// A DO card.
    pub(super) fn open(&mut self, card: &Card, parameters: &mut Parameters) -> Result<(), SifError> {
        if self.open.len() == DEEPEST {
            return Err(SifError::at(card.line, 2, SifErrorKind::Loop("loops may be three deep, no deeper")));
        }
        self.open.push(self.instructions.len());
        self.instructions.push(Instruction::Do(Loop {
            line: card.line,
            columns: [card.name2.column, card.name3.column, card.name5.column],
            variable: parameters.integer_slot(card.name2.name()),
            start: parameters.integer_slot(card.name3.name()),
            end: parameters.integer_slot(card.name5.name()),
            step: None,
            after: 0,
            nested: self.open.len() > 1,
        }));
        Ok(())
    }

    /// A DI card: the step of the innermost loop.
    pub(super) fn step(&mut self, card: &Card, parameters: &mut Parameters) -> Result<(), SifError> {
        let variable = parameters.integer_slot(card.name2.name());
        let step = parameters.integer_slot(card.name3.name());
        let innermost = self.open.last().and_then(|&at| self.instructions.get_mut(at));
        match innermost {
            Some(Instruction::Do(looped)) if looped.variable == variable => {
                looped.step = Some(step);
                Ok(())
            }
            Some(_) => {
                let kind = SifErrorKind::Loop("DI must name the variable of the innermost open loop");
                Err(SifError::at(card.line, card.name2.column, kind))
            }
            None => Err(SifError::at(card.line, 2, SifErrorKind::Loop("DI stands outside of a loop"))),
        }
    }

    /// An OD card (`all` false) or an ND card; returns whether no loop is open any more, so that the program can run.
    /// The variable that OD names does not matter: the innermost loop ends.
    pub(super) fn close(&mut self, card: &Card, all: bool) -> Result<bool, SifError> {
        if self.open.is_empty() {
            let kind = SifErrorKind::Loop("the end of a loop stands outside of a loop");
            return Err(SifError::at(card.line, 2, kind));
        }
        while let Some(at) = self.open.pop() {
            self.instructions.push(Instruction::End);
            let behind = self.instructions.len();
            if let Instruction::Do(looped) = &mut self.instructions[at] {
                looped.after = behind;
            }
            if !all {
                break;
            }
        }
        Ok(self.open.is_empty())
    }

    /// Runs the closed loops and forgets them.
    pub(super) fn run(&mut self, decoder: &mut Decoder) -> Result<(), SifError> {
        let instructions = std::mem::take(&mut self.instructions);
        let mut running: Vec<Running> = Vec::with_capacity(DEEPEST);
        let mut at = 0;
        while let Some(instruction) = instructions.get(at) {
            decoder.count(instruction)?;
            at += 1;
            match instruction {
                Instruction::Parameter(card) => decoder.parameters.execute(card)?,
                Instruction::Data(card) => decoder.execute_data(card)?,
                Instruction::Do(looped) => match looped.enter(at, decoder)? {
                    Some(entered) => running.push(entered),
                    None => at = looped.after,
                },
                Instruction::End => {
                    if let Some(innermost) = running.last_mut() {
                        let next = innermost.value + innermost.step;
                        if Running::goes_on(next, innermost.end, innermost.step) {
                            innermost.value = next;
                            decoder.parameters.set_integer(innermost.variable, next);
                            at = innermost.body;
                        } else {
                            running.pop();
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Running {
    fn goes_on(value: i64, end: i64, step: i64) -> bool {
        if step > 0 { value <= end } else { value >= end }
    }
}

impl Instruction {
    /// Line of the card.
    pub(super) fn line(&self) -> u32 {
        match self {
            Instruction::Parameter(card) => card.line(),
            Instruction::Data(card) => card.line(),
            Instruction::Do(looped) => looped.line,
            Instruction::End => 0,
        }
    }
}

impl Loop {
    /// Reads start, end and step; None if the loop runs zero times.
    fn enter(&self, body: usize, decoder: &mut Decoder) -> Result<Option<Running>, SifError> {
        let parameters = &decoder.parameters;
        let value = |slot: u32, field: usize| {
            let column = self.columns[field];
            parameters
                .integer(slot)
                .ok_or_else(|| SifError::at(self.line, column, parameters.no_integer(slot)))
        };
        let start = value(self.start, 1)?;
        let end = value(self.end, 2)?;
        let step = self.step.map_or(Ok(1), |slot| value(slot, 0))?;
        if step == 0 {
            return Err(SifError::at(self.line, 2, SifErrorKind::Loop("the step of this loop is 0")));
        }
        if self.nested && step < 0 {
            decoder.warn(
                self.line,
                "a nested loop with negative step; the reference decoder never runs such loops",
            );
        }
        if !Running::goes_on(start, end, step) {
            return Ok(None);
        }
        decoder.parameters.set_integer(self.variable, start);
        Ok(Some(Running { body, variable: self.variable, value: start, end, step }))
    }
}
