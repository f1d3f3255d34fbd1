//! As much HTTP as the tour needs: forms posted over one connection that is kept.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection to the web server.
pub(crate) struct Browser {
    stream: TcpStream,
    address: SocketAddr,
    /// What was read past the last answer.
    rest: Vec<u8>,
}

impl Browser {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address, rest: Vec::new() })
    }

    /// Posts a form whose values need no escapes; the answer's status.
    pub(crate) async fn post(&mut self, path: &str, form: &str) -> io::Result<u16> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            self.address,
            form.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> io::Result<u16> {
        let head = loop {
            if let Some(end) = self.rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let body = self.rest.split_off(end + 4);
                break String::from_utf8_lossy(&std::mem::replace(&mut self.rest, body)).into_owned();
            }
            self.read_more().await?;
        };
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("the answer has no status"))?;
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length
            .and_then(|(_, value)| value.trim().parse().ok())
            .ok_or_else(|| io::Error::other("the answer has no length"))?;
        while self.rest.len() < length {
            self.read_more().await?;
        }
        self.rest.drain(..length);
        Ok(status)
    }

    async fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.rest.extend_from_slice(&buffer[..read]);
                Ok(())
            }
        }
    }
}
