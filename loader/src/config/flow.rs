//! A loader pipeline in the typed flow.

use millrace_connectors::{Column, Connection, Mode, TableConfig};
use millrace_model::{Code, Fault, Schema};
use millrace_runtime::project::Kind;
use millrace_runtime::project::flow::{self, Claim, Context, Problem, Sharing, TargetColumn, Types};

use super::Pipeline;

impl flow::Pipeline<Connection> for Pipeline {
    fn input(&self) -> Option<&str> {
        Some(&self.from)
    }

    fn dead_letters(&self) -> &str {
        &self.dead_letters.topic
    }

    fn connections(&self) -> Vec<&str> {
        vec![&self.to.connection]
    }

    fn claims(&self, context: &Context<'_, Connection>) -> Vec<Claim> {
        let table = context.connections.get(&self.to.connection).map(|connection| self.table_claim(connection, context));
        table.into_iter().collect()
    }

    fn types(&self, context: &Context<'_, Connection>, input: Option<&Schema>) -> Types {
        let mut problems: Vec<Problem> = input.into_iter().flat_map(|schema| self.key_problems(schema)).collect();
        let Some(connection) = context.connections.get(&self.to.connection) else {
            problems.push(self.no_connection(context));
            return Types { problems, ..Types::default() };
        };
        if let (Some(schema), true) = (input, problems.is_empty()) {
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
            Mode::Upsert => Sharing::Never(
                "each would overwrite the rows of the other in no certain order: load both topics into one first, or name another table"
                    .into(),
            ),
        };
        Claim { what: format!("the table `{}` of `{name}`", self.to.table), at: vec!["to".into(), "table".into()], sharing }
    }

    fn target(&self, connection: &Connection, table: &TableConfig, schema: &Schema) -> Types {
        match connection.check(table, schema) {
            Ok(columns) => {
                let target = columns.into_iter().map(target_column).collect();
                Types { target, problems: self.idle_keys().into_iter().collect(), ..Types::default() }
            }
            Err(fault) => unfit(&fault).into(),
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

    fn key_problems(&self, schema: &Schema) -> Vec<Problem> {
        if self.keys.is_empty() && self.mode == Mode::Upsert {
            let problem = Problem::error(Code::ProjectFlow, &["mode"], "`mode: upsert` needs the columns that tell rows apart");
            return vec![problem.kind(Kind::Mode).help("set `keys: [COLUMN, ...]`".to_owned())];
        }
        let unknown = self.keys.iter().enumerate().filter(|(_, key)| schema.field(key).is_none());
        unknown.map(|(number, key)| self.no_column(number, key, schema)).collect()
    }

    fn no_column(&self, number: usize, key: &str, schema: &Schema) -> Problem {
        let columns = schema.fields().iter().filter_map(|field| field["name"].as_str());
        let message = format!("the topic `{}` has no column `{key}`", self.from);
        Problem::error(Code::ProjectFlow, &["keys", &number.to_string()], message).kind(Kind::UnknownColumn).meant(key, "columns", columns)
    }

    fn idle_keys(&self) -> Option<Problem> {
        let idle = self.mode == Mode::Append && !self.keys.is_empty();
        let help = "set `mode: upsert`, or leave `keys` out".to_owned();
        idle.then(|| Problem::warning(Code::ProjectAdvice, &["keys"], "`mode: append` makes no use of keys").kind(Kind::Mode).help(help))
    }
}

fn unfit(fault: &Fault) -> Problem {
    let text = fault.to_string();
    let message = text.strip_prefix(&format!("{}: ", fault.code())).unwrap_or(&text);
    Problem::error(fault.code(), &["to", "table"], message)
}

fn target_column(column: Column) -> TargetColumn {
    TargetColumn { name: column.name, sql_type: column.sql_type, nullable: column.nullable }
}
