//! COPY of the columns that the library writes, into the same table, each in a transaction.

use std::{error::Error, pin::pin};

use bytes::{Bytes, BytesMut};
use chrono::Utc;
use futures_util::SinkExt;
use tokio::try_join;
use tokio_postgres::{
    Client, CopyInSink, Statement,
    binary_copy::BinaryCopyInWriter,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

use super::enqueue::params;
use crate::{
    child::{Stage, Task},
    failure::Failure,
    server::connect,
};

const COLUMNS: [Type; 5] = [Type::JSONB, Type::TIMESTAMPTZ, Type::INT4, Type::INT4, Type::TEXT];

pub(crate) async fn run(task: &Task, size: u64, binary: bool, stage: &Stage) -> Result<(), Failure> {
    let client = connect(&task.url).await?;
    let params = (0..size).map(params).collect::<Result<Vec<_>, _>>()?;
    let format = if binary { "binary" } else { "text" };
    let sql = format!(
        "COPY {} (params, schedule, max_attempts, priority, notify) FROM STDIN WITH (FORMAT {format})",
        task.table
    );
    let copy = client.prepare(&sql).await?;
    stage.ready().await;
    stage.tally.begin();
    while stage.tally.count() < task.wanted && !stage.has_ended() {
        let rows = if binary {
            copy_binary(&client, &copy, &params).await?
        } else {
            copy_text(&client, &copy, &params).await?
        };
        client.batch_execute("COMMIT").await?;
        stage.tally.done(rows);
    }
    Ok(())
}

/// In a transaction, as jobs are enqueued; its begin takes no round trip of its own.
async fn begin(client: &Client, copy: &Statement) -> Result<CopyInSink<Bytes>, Failure> {
    let (_, sink) = try_join!(biased; client.batch_execute("BEGIN"), client.copy_in(copy))?;
    Ok(sink)
}

async fn copy_binary(client: &Client, copy: &Statement, params: &[String]) -> Result<u64, Failure> {
    let mut writer = pin!(BinaryCopyInWriter::new(begin(client, copy).await?, &COLUMNS));
    let (now, notify) = (Utc::now(), None::<&str>);
    for params in params {
        writer.as_mut().write(&[&Jsonb(params), &now, &5_i32, &0_i32, &notify]).await?;
    }
    Ok(writer.finish().await?)
}

async fn copy_text(client: &Client, copy: &Statement, params: &[String]) -> Result<u64, Failure> {
    /// The driver sends a piece as one message; pieces of this size make few of them.
    const PIECE: usize = 64 * 1024;
    let mut sink = pin!(begin(client, copy).await?);
    let rest = format!("\t{}\t5\t0\t\\N\n", Utc::now().to_rfc3339());
    let mut piece = String::with_capacity(PIECE + 1024);
    for params in params {
        // The params here hold nothing that COPY would want escaped.
        piece.push_str(params);
        piece.push_str(&rest);
        if piece.len() >= PIECE {
            let full = std::mem::replace(&mut piece, String::with_capacity(PIECE + 1024));
            sink.send(full.into()).await?;
        }
    }
    sink.send(piece.into()).await?;
    Ok(sink.finish().await?)
}

/// Text that is JSON already, in the binary format of jsonb: its version, then the text.
#[derive(Debug)]
struct Jsonb<'a>(&'a str);

impl ToSql for Jsonb<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&[1]);
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }

    to_sql_checked!();
}
