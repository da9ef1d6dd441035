//! A loader pipeline in the typed flow.

use arrow::datatypes::DataType;
use millrace_connectors::{Column, Connection, Mode, TableConfig};
use millrace_model::{Code, Fault, Schema};
use millrace_runtime::project::flow::{self, Claim, Context, Problem, Sharing, TargetColumn, Types};
use millrace_runtime::project::{Kind, OnError};

use super::{Envelope, Nested, Pipeline};
use crate::intake;
use crate::mapping::Misfit;

impl flow::Pipeline<Connection> for Pipeline {
    fn input(&self) -> Option<&str> {
        Some(&self.from)
    }

    fn dead_letters(&self) -> &str {
        &self.dead_letters.topic
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    fn connections(&self) -> Vec<&str> {
        vec![&self.to.connection]
    }

    fn claims(&self, context: &Context<'_, Connection>) -> Vec<Claim> {
        let table = context.connections.get(&self.to.connection).map(|connection| self.table_claim(connection, context));
        table.into_iter().collect()
    }

    fn types(&self, context: &Context<'_, Connection>, input: Option<&Schema>) -> Types {
        let mapped = input.map(|records| intake::mapping(self, records));
        let table = match &mapped {
            Some(Ok(mapping)) => Some(mapping.schema()),
            Some(Err(_)) | None => None,
        };
        let mut problems: Vec<Problem> = table.into_iter().flat_map(|schema| self.key_problems(schema)).collect();
        problems.extend(mapped.iter().filter_map(|mapped| mapped.as_ref().err()).flatten().map(misfit));
        let Some(connection) = context.connections.get(&self.to.connection) else {
            problems.push(self.no_connection(context));
            return Types { problems, ..Types::default() };
        };
        if let (Some(schema), true) = (table, problems.is_empty()) {
            return self.target(connection, &self.table(context.project, context.pipeline), schema);
        }
        Types { problems, ..Types::default() }
    }
}

impl Pipeline {
    /// The table, under the first name of all that its connection goes by.
    fn table_claim(&self, connection: &Connection, context: &Context<'_, Connection>) -> Claim {
        let name = context.connections.iter().find(|(_, other)| *other == connection).map_or("", |(name, _)| name);
        let sharing = match self.mode {
            Mode::Append => Sharing::Known("it gets the rows of both, in no order between them".into()),
            Mode::Upsert | Mode::InsertIgnore | Mode::Mirror | Mode::Replace => Sharing::Never(
                "each would overwrite the rows of the other in no certain order: load both topics into one first, or name another table"
                    .into(),
            ),
        };
        let rows = connection.rows_of(&self.table(context.project, context.pipeline));
        Claim { what: format!("{rows} of `{name}`"), at: vec!["to".into(), "table".into()], sharing }
    }

    fn target(&self, connection: &Connection, table: &TableConfig, schema: &Schema) -> Types {
        let able = connection.capabilities();
        if !able.has(self.mode) {
            let modes = able.modes.iter().map(|mode| mode.as_str()).collect::<Vec<_>>().join(", ");
            let problem = Problem::error(Code::ProjectFlow, &["mode"], format!("{} can't be loaded in `mode: {}`", able.name, self.mode));
            return problem.kind(Kind::Mode).help(format!("it can in {modes}")).into();
        }
        if let Some(why) = self.unparkable(connection) {
            let problem = Problem::error(Code::ProjectFlow, &["on_error"], format!("`park_key` can't be: {why}"));
            return problem.kind(Kind::Settings).expected("`dead_letter` or `halt`".to_owned()).into();
        }
        if let Some(misfit) = connection.partition_misfit(table, schema) {
            return Problem::error(Code::ProjectFlow, &["partition_by"], misfit).kind(Kind::Target).into();
        }
        if let Some((setting, misfit)) = connection.redis_misfit(table, schema) {
            let at: Vec<&str> = ["to", "redis"].into_iter().chain(setting).collect();
            return Problem::error(Code::ProjectFlow, &at, misfit).kind(Kind::Target).into();
        }
        match connection.check(table, schema) {
            Ok(columns) => {
                let target = columns.into_iter().map(target_column).collect();
                let problems = self.idle().chain(cut(connection, schema)).chain(connection.advice().map(weaker)).collect();
                Types { target, problems, ..Types::default() }
            }
            Err(fault) => unfit(&fault).into(),
        }
    }

    /// Why keys can't be parked that are to be.
    fn unparkable(&self, connection: &Connection) -> Option<&'static str> {
        match self.mode {
            _ if self.on_error != OnError::ParkKey => None,
            Mode::Replace => Some("a whole load takes the place of the table when it ends, and a record that waits would come after that"),
            Mode::Append | Mode::Upsert | Mode::InsertIgnore | Mode::Mirror => connection.unparkable(),
        }
    }

    fn no_connection(&self, context: &Context<'_, Connection>) -> Problem {
        let name = &self.to.connection;
        let known = context.connections.keys().map(String::as_str);
        let problem = Problem::error(Code::ProjectFlow, &["to", "connection"], format!("there is no connection `{name}`"));
        let problem = problem.kind(Kind::UnknownConnection);
        if context.connections.is_empty() {
            return problem.help(format!("declare it under `connections:`, as `{name}:`"));
        }
        problem.meant(name, "connections", known)
    }

    fn key_problems(&self, table: &Schema) -> Vec<Problem> {
        if self.keys.is_empty() && self.mode.is_keyed() {
            let message = format!("`mode: {}` needs the columns that tell rows apart", self.mode);
            return vec![
                Problem::error(Code::ProjectFlow, &["mode"], message).kind(Kind::Mode).help("set `keys: [COLUMN, ...]`".to_owned()),
            ];
        }
        let unknown = self.keys.iter().enumerate().filter(|(_, key)| table.arrow().field_with_name(key).is_err());
        let unions = self.keys.iter().enumerate().filter(|(_, key)| is_union(table, key));
        unknown.map(|(number, key)| self.no_column(number, key, table)).chain(unions.map(|(number, key)| union_key(number, key))).collect()
    }

    fn no_column(&self, number: usize, key: &str, table: &Schema) -> Problem {
        let columns = table.arrow().fields().iter().map(|field| field.name().as_str());
        let message = if self.is_plain() {
            format!("the topic `{}` has no column `{key}`", self.from)
        } else {
            format!("the table gets no column `{key}`")
        };
        Problem::error(Code::ProjectFlow, &["keys", &number.to_string()], message).kind(Kind::UnknownColumn).meant(key, "columns", columns)
    }

    /// Whether the table's columns are the topic's.
    fn is_plain(&self) -> bool {
        self.columns.is_empty() && self.mode != Mode::Mirror && self.nested == Nested::Json
    }

    /// Settings that nothing goes by.
    fn idle(&self) -> impl Iterator<Item = Problem> {
        let keys = (self.mode == Mode::Append && !self.keys.is_empty()).then(|| {
            let help = "set `mode: upsert`, or leave `keys` out".to_owned();
            Problem::warning(Code::ProjectAdvice, &["keys"], "`mode: append` makes no use of keys").kind(Kind::Mode).help(help)
        });
        let envelope = (self.mode != Mode::Mirror && self.envelope != Envelope::default()).then(|| {
            let help = "set `mode: mirror`, or leave `envelope` out".to_owned();
            Problem::warning(Code::ProjectAdvice, &["envelope"], format!("`mode: {}` makes no use of it", self.mode))
                .kind(Kind::Mode)
                .help(help)
        });
        keys.into_iter().chain(envelope)
    }
}

fn is_union(table: &Schema, column: &str) -> bool {
    table.arrow().field_with_name(column).is_ok_and(|field| matches!(field.data_type(), DataType::Union(..)))
}

fn union_key(number: usize, key: &str) -> Problem {
    let message = format!("the key column `{key}` is a union of several types, which can't tell rows apart");
    let problem = Problem::error(Code::ProjectFlow, &["keys", &number.to_string()], message).kind(Kind::UnionTouched);
    problem.expected("a column of one type".to_owned()).help("name another column".to_owned())
}

/// What a target promises less than others do.
fn weaker((what, help): (&str, &str)) -> Problem {
    Problem::warning(Code::ProjectAdvice, &["to", "connection"], what).kind(Kind::Delivery).help(help.to_owned())
}

fn misfit(misfit: &Misfit) -> Problem {
    Problem::error(Code::ProjectFlow, &misfit.at, misfit.message.clone()).kind(misfit.kind).help(misfit.help.clone())
}

fn unfit(fault: &Fault) -> Problem {
    let text = fault.to_string();
    let message = text.strip_prefix(&format!("{}: ", fault.code())).unwrap_or(&text);
    Problem::error(fault.code(), &["to", "table"], message)
}

/// What is stored less exactly than it comes.
fn cut(connection: &Connection, schema: &Schema) -> Option<Problem> {
    let columns = connection.cut_columns(schema);
    let named = columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
    let message = format!("{} keeps microseconds: the nanoseconds of {named} are cut off", connection.capabilities().name);
    let help = "cast to a timestamp of microseconds in a step before, or carry the count of nanoseconds as a `long`".to_owned();
    let problem = Problem::warning(Code::ProjectAdvice, &["to", "table"], message).kind(Kind::Precision).help(help);
    (!columns.is_empty()).then_some(problem)
}

fn target_column(column: Column) -> TargetColumn {
    TargetColumn { name: column.name, sql_type: column.sql_type, nullable: column.nullable }
}
