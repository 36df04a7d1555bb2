//! ELEMENT TYPE and GROUP TYPE: the functions' variables and parameters; ELEMENT USES and GROUP USES: where they occur.

use super::error::{SifError, SifErrorKind};
use super::model::{FunctionType, GroupParameter, Model, NONE, Types, UNSET};
use super::section::Item;

impl Types {
    /// A declaring card: the type in field 2, one or two names in fields 3 and 5.
    fn declare(&mut self, item: &Item, what: &'static str) -> Result<(), SifError> {
        let (index, new) = self.names.insert(item.name2);
        if new {
            self.types.push(FunctionType::new(item.line));
        }
        let declared = &mut self.types[index as usize];
        let table = match item.letter {
            b'V' => &mut declared.arguments,
            b'I' => &mut declared.internal,
            _ => &mut declared.parameters,
        };
        for (field, name, _) in item.pairs() {
            if !table.insert(name).1 {
                return Err(item.error(field, SifErrorKind::Duplicate { what, name: name.to_string() }));
            }
        }
        Ok(())
    }
}

impl Model {
    /// A card of ELEMENT TYPE.
    pub(super) fn element_type_card(&mut self, item: &Item) -> Result<(), SifError> {
        self.element_types.declare(item, "the variable or parameter of an element type")
    }

    /// A card of GROUP TYPE: the one argument, or parameters.
    pub(super) fn group_type_card(&mut self, item: &Item) -> Result<(), SifError> {
        self.group_types.declare(item, "the argument or parameter of a group type")?;
        let declared = self.group_types.types.last().map_or(0, |declared| declared.arguments.len());
        if declared > 1 {
            let name = item.name2.to_string();
            return Err(item.error(3, SifErrorKind::Duplicate { what: "the argument of group type", name }));
        }
        Ok(())
    }

    /// A card of ELEMENT USES.
    pub(super) fn element_uses_card(&mut self, item: &Item) -> Result<(), SifError> {
        match item.letter {
            b'T' => self.element_type_of(item),
            b'V' => self.elemental_variable(item),
            _ => self.elemental_parameters(item),
        }
    }

    fn element_type_of(&mut self, item: &Item) -> Result<(), SifError> {
        let kind =
            self.element_types.names.get(&item.name3).ok_or_else(|| item.undefined(3, "element type"))?;
        if item.name2.is_keyword(b"'DEFAULT'") {
            self.default_element_type = Some(kind);
            return Ok(());
        }
        let known = self.elements.get(&item.name2);
        if let Some(element) = known {
            if self.element_type[element as usize] == kind {
                return Ok(());
            }
            let name = item.name2.to_string();
            return Err(item.error(2, SifErrorKind::Duplicate { what: "the type of element", name }));
        }
        self.new_element(item, kind);
        Ok(())
    }

    /// Makes an element whose variables and parameters are not set yet.
    fn new_element(&mut self, item: &Item, kind: u32) -> u32 {
        let (element, _) = self.elements.insert(item.name2);
        let declared = &self.element_types.types[kind as usize];
        self.element_type.push(kind);
        self.element_lines.push(item.line);
        let (variables, parameters) = (declared.arguments.len(), declared.parameters.len());
        self.element_variables.resize(self.element_variables.len() + variables, NONE);
        self.variable_offsets.push(self.element_variables.len());
        self.element_parameters.resize(self.element_parameters.len() + parameters, UNSET);
        self.parameter_offsets.push(self.element_parameters.len());
        element
    }

    /// The element that a V or P card names; a new one is of the default type.
    fn element_of(&mut self, item: &Item) -> Result<u32, SifError> {
        if let Some(element) = self.elements.get(&item.name2) {
            return Ok(element);
        }
        match self.default_element_type {
            Some(kind) => Ok(self.new_element(item, kind)),
            None => {
                let name = item.name2.to_string();
                Err(item.error(2, SifErrorKind::NotSet { what: "the type of element", name }))
            }
        }
    }

    fn elemental_variable(&mut self, item: &Item) -> Result<(), SifError> {
        let element = self.element_of(item)? as usize;
        let declared = &self.element_types.types[self.element_type[element] as usize];
        let slot =
            declared.arguments.get(&item.name3).ok_or_else(|| item.undefined(3, "elemental variable"))?
                as usize;
        if item.name5.is_blank() {
            let name = item.name3.to_string();
            return Err(item.error(5, SifErrorKind::NotSet { what: "the problem variable for", name }));
        }
        let variable = self.variable(item.name5);
        let place = &mut self.element_variables[self.variable_offsets[element] + slot];
        if *place != NONE {
            let name = item.name3.to_string();
            return Err(item.error(3, SifErrorKind::Duplicate { what: "elemental variable", name }));
        }
        *place = variable;
        Ok(())
    }

    fn elemental_parameters(&mut self, item: &Item) -> Result<(), SifError> {
        let element = self.element_of(item)? as usize;
        let declared = &self.element_types.types[self.element_type[element] as usize];
        for (field, name, value) in item.pairs() {
            let slot =
                declared.parameters.get(&name).ok_or_else(|| item.undefined(field, "element parameter"))?
                    as usize;
            let place = &mut self.element_parameters[self.parameter_offsets[element] + slot];
            if !place.is_nan() {
                let name = name.to_string();
                return Err(item.error(field, SifErrorKind::Duplicate { what: "element parameter", name }));
            }
            *place = value.unwrap_or(0.0);
        }
        Ok(())
    }

    /// A card of GROUP USES.
    pub(super) fn group_uses_card(&mut self, item: &Item) -> Result<(), SifError> {
        if item.letter == b'T' {
            return self.group_type_of(item);
        }
        let group = self.groups.get(&item.name2).ok_or_else(|| item.undefined(2, "group"))?;
        for (field, name, value) in item.pairs() {
            if item.letter == b'E' {
                let element = self.elements.get(&name).ok_or_else(|| item.undefined(field, "element"))?;
                self.group_elements.push((group, element, value.unwrap_or(1.0)));
            } else {
                let (line, column) = (item.line, item.columns[field - 2]);
                let value = value.unwrap_or(0.0);
                self.group_parameters.push(GroupParameter { group, name, value, line, column });
            }
        }
        Ok(())
    }

    fn group_type_of(&mut self, item: &Item) -> Result<(), SifError> {
        let kind = self.group_types.names.get(&item.name3).ok_or_else(|| item.undefined(3, "group type"))?;
        if item.name2.is_keyword(b"'DEFAULT'") {
            self.default_group_type = Some(kind);
            return Ok(());
        }
        let group = self.groups.get(&item.name2).ok_or_else(|| item.undefined(2, "group"))?;
        let place = &mut self.group_type[group as usize];
        if *place != NONE && *place != kind {
            let name = item.name2.to_string();
            return Err(item.error(2, SifErrorKind::Duplicate { what: "the type of group", name }));
        }
        *place = kind;
        Ok(())
    }
}
