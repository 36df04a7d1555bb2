//! The problem part, card by card.

use super::card::{Card, Line, LineKind, Lines};
use super::error::{SifError, SifErrorKind};
use super::metadata::{Comments, Parameter, ParameterKind, Warning};
use super::model::Model;
use super::names::{Name, latin1};
use super::parameters::{self, Kind, Parameters};
use super::program::{Instruction, Program};
use super::section::{DataCard, Section};
use super::{Mode, Options};

/// Warnings beyond this number are dropped.
const MOST_WARNINGS: usize = 100;

/// Reads the problem part of a file.
#[derive(Debug)]
pub(super) struct Decoder<'o> {
    options: &'o Options,
    pub(super) name: Name,
    pub(super) parameters: Parameters,
    pub(super) model: Model,
    pub(super) comments: Comments,
    pub(super) offered: Vec<Parameter>,
    pub(super) warnings: Vec<Warning>,
    section: Option<Section>,
    seen_groups: bool,
    seen_variables: bool,
    program: Program,
    executed: u64,
    /// Line of the card executed last.
    line: u32,
}

impl<'o> Decoder<'o> {
    pub(super) fn new(options: &'o Options) -> Self {
        Self {
            options,
            name: Name::BLANK,
            parameters: Parameters::new(options.mode == Mode::Cutest),
            model: Model::new(),
            comments: Comments::default(),
            offered: Vec::new(),
            warnings: Vec::new(),
            section: None,
            seen_groups: false,
            seen_variables: false,
            program: Program::default(),
            executed: 0,
            line: 1,
        }
    }

    /// Reads up to and including the ENDATA line.
    pub(super) fn problem_part(&mut self, lines: &mut Lines) -> Result<(), SifError> {
        for line in lines.by_ref() {
            match line.kind() {
                LineKind::Comment => self.comments.note(&line),
                LineKind::Ignored => {}
                LineKind::Data => self.card(&line.card(false))?,
                LineKind::Header if line.keyword() == b"ENDATA" => return self.end(&line),
                LineKind::Header if self.options.lenient && line.text[0] == b'%' => {
                    self.warn(line.number, "a line that starts with % is read as a comment");
                }
                LineKind::Header => self.header(&line)?,
            }
        }
        Err(SifError::at(
            lines.number().max(1),
            1,
            SifErrorKind::Missing("the line ENDATA of its problem part"),
        ))
    }

    pub(super) fn is_lenient(&self) -> bool {
        self.options.lenient
    }

    /// Notes something odd; at most one warning a line.
    pub(super) fn warn(&mut self, line: u32, text: &str) {
        let line = Some(line as usize);
        if self.warnings.len() < MOST_WARNINGS && self.warnings.last().is_none_or(|last| last.line != line) {
            self.warnings.push(Warning { line, text: text.into() });
        }
    }

    fn refuse_open_loop(&self) -> Result<(), SifError> {
        match self.program.open_line() {
            Some(line) => {
                Err(SifError::at(line, 2, SifErrorKind::Loop("this loop is not closed within its section")))
            }
            None => Ok(()),
        }
    }

    fn header(&mut self, line: &Line) -> Result<(), SifError> {
        self.refuse_open_loop()?;
        let Some(section) = Section::of_keyword(line.keyword()) else {
            let text = latin1(line.keyword());
            return Err(SifError::at(line.number, 1, SifErrorKind::UnknownHeader(text)));
        };
        let out_of_order = |reason| {
            let kind = SifErrorKind::SectionOrder { section: section.title(), reason };
            Err(SifError::at(line.number, 1, kind))
        };
        match (section, self.section) {
            (Section::Name, Some(_)) => return out_of_order("it comes first and once"),
            (Section::Name, None) => self.name = line.header_name(),
            (_, None) => return out_of_order("NAME comes first"),
            (Section::Groups, _) => {
                if self.seen_groups {
                    return out_of_order("it comes once");
                }
                self.seen_groups = true;
                self.model.column_wise = !self.seen_variables;
            }
            (Section::Variables, _) => {
                if self.seen_variables {
                    return out_of_order("it comes once");
                }
                self.seen_variables = true;
            }
            _ if !(self.seen_groups && self.seen_variables) => {
                return out_of_order("GROUPS and VARIABLES come before it");
            }
            (_, Some(before)) if section < before && before > Section::Variables => {
                return out_of_order("the sections come in a fixed order");
            }
            _ => {}
        }
        self.section = Some(section);
        Ok(())
    }

    fn end(&mut self, line: &Line) -> Result<(), SifError> {
        self.refuse_open_loop()?;
        if !(self.seen_groups && self.seen_variables) {
            let kind = SifErrorKind::Missing("its sections GROUPS and VARIABLES");
            return Err(SifError::at(line.number, 1, kind));
        }
        let asked = self.options.parameters.iter();
        let offers = |name: &str| self.offered.iter().any(|parameter| parameter.name == name);
        if let Some((name, _)) = asked.into_iter().find(|(name, _)| !offers(name)) {
            let names: Vec<&str> = self.offered.iter().map(|parameter| parameter.name.as_str()).collect();
            let offered = if names.is_empty() { "none".into() } else { names.join(", ") };
            return Err(SifError::of_options(SifErrorKind::UnknownParameter { name: name.clone(), offered }));
        }
        Ok(())
    }

    /// One data card: it is compiled, and executed unless a loop is open.
    fn card(&mut self, card: &Card) -> Result<(), SifError> {
        let Some(section) = self.section else {
            let kind = SifErrorKind::SectionOrder { section: "NAME", reason: "it comes before any card" };
            return Err(SifError::at(card.line, 1, kind));
        };
        match &card.code {
            b"DO" => return self.program.open(card, &mut self.parameters),
            b"DI" => return self.program.step(card, &mut self.parameters),
            b"OD" | b"ND" => {
                let all = card.code[0] == b'N';
                if self.program.close(card, all)? {
                    let mut program = std::mem::take(&mut self.program);
                    program.run(self)?;
                }
                return Ok(());
            }
            _ => {}
        }
        let instruction = match parameters::kind(card.code) {
            Some(kind) => {
                let number = self.override_of(kind, card)?;
                Instruction::Parameter(self.parameters.compile(kind, card, number)?)
            }
            None => {
                let in_loop = self.program.is_open();
                Instruction::Data(DataCard::compile(section, card, in_loop, &mut self.parameters)?)
            }
        };
        if self.program.is_open() {
            self.program.push(instruction);
            return Ok(());
        }
        self.count(&instruction)?;
        match &instruction {
            Instruction::Parameter(card) => self.parameters.execute(card),
            Instruction::Data(card) => self.execute_data(card),
            Instruction::Do(_) | Instruction::End => Ok(()),
        }
    }

    /// For the card of a value that the user may change: the value that the options ask for. Notes the parameter.
    fn override_of(&mut self, kind: Kind, card: &Card) -> Result<Option<f64>, SifError> {
        if !card.marked || card.code[1] != b'E' || kind == Kind::RealArray {
            return Ok(None);
        }
        let at = |kind| SifError::at(card.line, card.number4.column, kind);
        let (kind, default) = if kind == Kind::Integer {
            (ParameterKind::Integer, super::number::integer(card.number4.text).map_err(at)? as f64)
        } else {
            (ParameterKind::Real, super::number::real(card.number4.text).map_err(at)?.unwrap_or(0.0))
        };
        let name = card.name2.name().to_string();
        if self.offered.iter().any(|parameter| parameter.name == name) {
            return Ok(None);
        }
        let asked =
            self.options.parameters.iter().rev().find(|(asked, _)| *asked == name).map(|(_, value)| *value);
        if let Some(value) = asked {
            let integral = value.fract() == 0.0 && value.abs() <= super::number::LARGEST_INTEGER as f64;
            let expected = match kind {
                ParameterKind::Integer if !integral => "an integer up to 2^53 is expected",
                ParameterKind::Real if !value.is_finite() => "a finite number is expected",
                _ => "",
            };
            if !expected.is_empty() {
                return Err(SifError::of_options(SifErrorKind::BadParameter { name, value, expected }));
            }
        }
        let (value, line) = (asked.unwrap_or(default), card.line as usize);
        self.offered.push(Parameter { name, kind, value, default, alternatives: Vec::new(), line });
        Ok(asked)
    }

    /// Counts a card against the limits.
    #[inline]
    pub(super) fn count(&mut self, instruction: &Instruction) -> Result<(), SifError> {
        self.executed += 1;
        if !matches!(instruction, Instruction::End) {
            self.line = instruction.line();
        }
        let limits = &self.options.limits;
        let (what, limit) = if self.executed > limits.executed_cards {
            ("executed cards", limits.executed_cards)
        } else if self.model.bytes() + 64 * self.parameters.len() as u64 > limits.memory {
            ("bytes of memory", limits.memory)
        } else {
            return Ok(());
        };
        Err(SifError::at(self.line, 1, SifErrorKind::Limit { what, limit }))
    }

    /// Executes a data card.
    #[inline]
    pub(super) fn execute_data(&mut self, card: &DataCard) -> Result<(), SifError> {
        let item = card.resolve(&self.parameters)?;
        let model = &mut self.model;
        match card.section {
            Section::Name => Ok(()),
            Section::Groups => model.groups_card(&item),
            Section::Variables => {
                if model.variables_card(&item)? {
                    let text = "what stands behind the name of the variable is ignored: coefficients come with GROUPS";
                    self.warn(item.line, text);
                }
                Ok(())
            }
            Section::Constants => model.constants_card(&item),
            Section::Ranges => model.ranges_card(&item),
            Section::Bounds => model.bounds_card(&item),
            Section::StartPoint => model.start_card(&item),
            Section::Quadratic => model.quadratic_card(&item),
            Section::ElementType => model.element_type_card(&item),
            Section::ElementUses => model.element_uses_card(&item),
            Section::GroupType => model.group_type_card(&item),
            Section::GroupUses => model.group_uses_card(&item),
            Section::ObjectBound => {
                model.object_bound_card(&item);
                Ok(())
            }
        }
    }
}
