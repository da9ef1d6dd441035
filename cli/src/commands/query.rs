//! `millrace query`: a connection asked in SQL.

use std::process::ExitCode;

use anyhow::bail;
use millrace_connectors::Connection;

use crate::args::Query;
use crate::output::outln;
use crate::project::Loaded;
use crate::table::table;

pub(crate) async fn execute(args: &Query) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::open(&args.project)?;
    let result = choose(&loaded, args.connection.as_deref())?.query(&args.sql).await?;
    let mut table = table(&result.columns);
    for row in &result.rows {
        table.add_row(row.iter().map(|value| value.as_deref().unwrap_or("NULL")));
    }
    outln!("{table}");
    let count = result.rows.len();
    outln!("{count} {}", if count == 1 { "row" } else { "rows" });
    Ok(ExitCode::SUCCESS)
}

fn choose<'a>(loaded: &'a Loaded, wanted: Option<&str>) -> anyhow::Result<&'a Connection> {
    let connections = &loaded.project.connections;
    let names = || connections.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match wanted {
        Some(name) => match connections.get(name) {
            Some(connection) => Ok(connection),
            None => bail!("the project has no connection {name}; it has {}", names()),
        },
        None => match connections.values().collect::<Vec<_>>()[..] {
            [only] => Ok(only),
            [] => bail!("the project has no connection to ask; add one under connections:"),
            _ => bail!("the project has several connections; choose one with --connection: {}", names()),
        },
    }
}
