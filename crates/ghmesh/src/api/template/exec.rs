//! Walks over the tree with a document and prints. Bounded: in depth, in steps and in output.

use super::error::{Fault, TemplateError};
use super::functions::{Context, Function};
use super::parse::{Branches, Command, Kind, Node, Operand, Pipeline, Templates, Term};
use super::printf;
use super::value::Value;

/// Templates that call templates; each costs stack.
const DEEPEST: usize = 200;

/// Nodes walked over. A page of 100 large objects takes some 100,000.
const MOST_STEPS: u64 = 50_000_000;

/// Output of one page.
const MOST_OUTPUT: usize = 256 << 20;

/// One run over one document.
pub(super) struct Run<'a> {
    pub(super) templates: &'a Templates,
    pub(super) context: &'a mut Context,
    pub(super) out: String,
    /// Variables in scope, the innermost last; `$` is the empty name.
    pub(super) variables: Vec<(String, Value)>,
    pub(super) depth: usize,
    pub(super) steps: u64,
    pub(super) line: usize,
}

enum Flow {
    Next,
    Break,
    Continue,
}

type Step<T> = Result<T, Fault>;

impl<'a> Run<'a> {
    /// Runs the main template.
    pub(super) fn main(mut self, document: Value) -> Result<String, TemplateError> {
        self.variables.push((String::new(), document.clone()));
        match self.call_template("", &document) {
            Ok(()) => Ok(self.out),
            Err(fault) => Err(TemplateError::Execution { line: self.line, fault }),
        }
    }

    fn call_template(&mut self, name: &str, dot: &Value) -> Step<()> {
        let nodes = self.templates.get(name).ok_or_else(|| Fault::UnknownTemplate(name.to_owned()))?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Fault::TooDeep(DEEPEST));
        }
        self.walk(nodes, dot)?;
        self.depth -= 1;
        Ok(())
    }

    /// Prints nodes; the variables they declare end with them.
    fn walk(&mut self, nodes: &'a [Node], dot: &Value) -> Step<Flow> {
        let scope = self.variables.len();
        let mut flow = Flow::Next;
        for node in nodes {
            self.count_step()?;
            flow = self.node(node, dot)?;
            if !matches!(flow, Flow::Next) {
                break;
            }
        }
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn count_step(&mut self) -> Step<()> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(Fault::TooLong(MOST_STEPS));
        }
        if self.out.len() > MOST_OUTPUT {
            return Err(Fault::TooMuchOutput(MOST_OUTPUT));
        }
        Ok(())
    }

    fn node(&mut self, node: &'a Node, dot: &Value) -> Step<Flow> {
        if !matches!(node.kind, Kind::Text(_)) {
            self.line = node.line;
        }
        match &node.kind {
            Kind::Text(text) => self.out.push_str(text),
            Kind::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.print(&value);
                }
            }
            Kind::If(branches) => return self.choice(branches, dot, false),
            Kind::With(branches) => return self.choice(branches, dot, true),
            Kind::Range(branches) => return self.range(branches, dot),
            Kind::Template { name, argument } => self.template(name, argument.as_ref(), dot)?,
            Kind::Break => return Ok(Flow::Break),
            Kind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    /// Nothing prints as `<no value>`, which is how a missing key looks.
    fn print(&mut self, value: &Value) {
        match value {
            Value::Nil => self.out.push_str("<no value>"),
            value => self.out.push_str(&printf::plain(value)),
        }
    }

    fn template(&mut self, name: &str, argument: Option<&'a Pipeline>, dot: &Value) -> Step<()> {
        let scope = self.variables.len();
        let argument = match argument {
            Some(pipeline) => self.pipeline(pipeline, dot)?,
            None => Value::Nil,
        };
        let outer = self.variables.split_off(0);
        self.variables.push((String::new(), argument.clone()));
        self.call_template(name, &argument)?;
        self.variables = outer;
        self.variables.truncate(scope);
        Ok(())
    }

    fn choice(&mut self, branches: &'a Branches, dot: &Value, narrows: bool) -> Step<Flow> {
        let scope = self.variables.len();
        let value = self.pipeline(&branches.pipeline, dot)?;
        let flow = match (value.is_true(), narrows) {
            (true, true) => self.walk(&branches.then, &value)?,
            (true, false) => self.walk(&branches.then, dot)?,
            (false, _) => self.walk(&branches.otherwise, dot)?,
        };
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn range(&mut self, branches: &'a Branches, dot: &Value) -> Step<Flow> {
        let scope = self.variables.len();
        let value = self.commands(&branches.pipeline, dot)?;
        let flow = match &value {
            Value::List(list) if !list.is_empty() => {
                let items = list.iter().enumerate().map(|(index, item)| (Value::Int(index as i64), item.clone()));
                self.items(branches, items)?
            }
            Value::Map(map) if !map.is_empty() => {
                let items = map.iter().map(|(key, item)| (Value::text(key.as_str()), item.clone()));
                self.items(branches, items)?
            }
            Value::Int(count) if *count > 0 => {
                self.items(branches, (0..*count).map(|n| (Value::Int(n), Value::Int(n))))?
            }
            Value::Nil | Value::List(_) | Value::Map(_) | Value::Int(_) => self.walk(&branches.otherwise, dot)?,
            Value::Bool(_) | Value::Float(_) | Value::Text(_) => return Err(Fault::Range(printf::plain(&value))),
        };
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn items(&mut self, branches: &'a Branches, items: impl Iterator<Item = (Value, Value)>) -> Step<Flow> {
        let scope = self.variables.len();
        for (key, item) in items {
            self.variables.truncate(scope);
            let values = match branches.pipeline.variables.len() {
                2 => vec![key, item.clone()],
                _ => vec![item.clone()],
            };
            for (name, value) in branches.pipeline.variables.iter().zip(values) {
                self.bind(name, value, branches.pipeline.assigns);
            }
            self.count_step()?;
            if matches!(self.walk(&branches.then, &item)?, Flow::Break) {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn bind(&mut self, name: &str, value: Value, assigns: bool) {
        let known = self.variables.iter_mut().rev().find(|(known, _)| assigns && known == name);
        match known {
            Some((_, old)) => *old = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    fn pipeline(&mut self, pipeline: &'a Pipeline, dot: &Value) -> Step<Value> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            self.bind(name, value.clone(), pipeline.assigns);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &'a Pipeline, dot: &Value) -> Step<Value> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, piped, dot)?);
        }
        Ok(piped.unwrap_or(Value::Nil))
    }

    fn command(&mut self, command: &'a Command, piped: Option<Value>, dot: &Value) -> Step<Value> {
        let (first, arguments) = command.operands.split_first().expect("a parsed command has an operand");
        if let Term::Function(function) = first.term {
            let value = self.function(function, arguments, piped, dot)?;
            return fields(value, &first.fields);
        }
        if piped.is_some() || !arguments.is_empty() {
            return Err(Fault::NotAFunction(described(first)));
        }
        match first.term {
            Term::Nil => Err(Fault::NilCommand),
            _ => self.operand(first, dot),
        }
    }

    fn function(
        &mut self,
        function: Function,
        operands: &'a [Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Step<Value> {
        function.check_arguments(operands.len() + usize::from(piped.is_some()))?;
        let mut arguments = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            let value = self.operand(operand, dot)?;
            let decides = match function {
                Function::And => !value.is_true(),
                Function::Or => value.is_true(),
                _ => false,
            };
            if decides {
                return Ok(value);
            }
            arguments.push(value);
        }
        arguments.extend(piped);
        function.call(self.context, &arguments, &mut self.out)
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Value) -> Step<Value> {
        let value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Nil => Value::Nil,
            Term::Literal(value) => value.clone(),
            Term::Variable(name) => self.variable(name),
            Term::Function(function) => self.function(*function, &[], None, dot)?,
            Term::Pipeline(pipeline) => self.pipeline(pipeline, dot)?,
        };
        fields(value, &operand.fields)
    }

    fn variable(&self, name: &str) -> Value {
        let known = self.variables.iter().rev().find(|(known, _)| known == name);
        known.map_or(Value::Nil, |(_, value)| value.clone())
    }
}

/// `.a.b` of a value: what is missing stays nothing all the way, what is no map has no fields.
fn fields(mut value: Value, names: &[String]) -> Step<Value> {
    for name in names {
        value = match value {
            Value::Nil => Value::Nil,
            Value::Map(map) => map.get(name).cloned().unwrap_or(Value::Nil),
            other => return Err(Fault::Field { name: name.clone(), found: other.type_name() }),
        };
    }
    Ok(value)
}

fn described(operand: &Operand) -> String {
    let term = match &operand.term {
        Term::Dot if operand.fields.is_empty() => ".".to_owned(),
        Term::Dot => String::new(),
        Term::Nil => "nil".to_owned(),
        Term::Literal(value) => printf::plain(value),
        Term::Variable(name) => format!("${name}"),
        Term::Function(function) => function.name().to_owned(),
        Term::Pipeline(_) => "a parenthesized pipeline".to_owned(),
    };
    operand.fields.iter().fold(term, |text, name| format!("{text}.{name}"))
}
