//! Requests as raw bytes, over the connections that their facts ask for.
use std::{
    io::{Error, ErrorKind, Read, Result, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use socket2::{Domain, Socket, Type};

use super::certificates::Certificates;

/// How long one answer may take before the test gives up.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a connection is: who opens it, from where, to which policy set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) peer: Option<String>,
    pub(crate) sni: Option<String>,
    /// Of the socket.
    pub(crate) source: Ipv4Addr,
    /// What the PROXY protocol says of the original caller.
    pub(crate) caller: IpAddr,
    pub(crate) port: u16,
}

/// A connection to Envoy.
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Connection {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Connection {
    /// Connects and says whom for. Nothing is awaited: a handshake that is refused is noticed by the first read.
    pub(crate) fn open(envoy: SocketAddr, site: Ipv4Addr, line: &Line, certificates: &Certificates) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((line.source, 0)).into())?;
        socket.connect_timeout(&envoy.into(), DEADLINE)?;
        socket.set_tcp_nodelay(true)?;
        let mut stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let head = match line.caller {
            IpAddr::V4(caller) => format!("PROXY TCP4 {caller} {site} 40000 {}\r\n", line.port),
            // Both addresses are of one family; an IPv4 address says the same in IPv6.
            IpAddr::V6(caller) => format!("PROXY TCP6 {caller} ::ffff:{site} 40000 {}\r\n", line.port),
        };
        stream.write_all(head.as_bytes())?;
        let Some(peer) = &line.peer else { return Ok(Self::Plain(stream)) };
        // Without a name to say, an address: it stands in no server name.
        let name = match &line.sni {
            Some(name) => ServerName::try_from(name.clone()).map_err(|_| Error::from(ErrorKind::InvalidInput))?,
            None => ServerName::from(IpAddr::from(site)),
        };
        let tls = ClientConnection::new(certificates.peer(peer), name).map_err(Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(tls, stream))))
    }

    /// Whether bytes come back: `false` when the connection is closed instead.
    pub(crate) fn echoes(&mut self) -> Result<bool> {
        // Longer than what it takes to see that this is no TLS.
        const PING: [u8; 32] = [b'.'; 32];
        if let Err(error) = self.write_all(&PING).and_then(|()| self.flush()) {
            return refused(error).map(|()| false);
        }
        let mut back = [0; PING.len()];
        match self.read_exact(&mut back) {
            Ok(()) => Ok(back == PING),
            Err(error) => refused(error).map(|()| false),
        }
    }

    /// Sends one request and reads its answer.
    pub(crate) fn ask(&mut self, request: &[u8], head_only: bool) -> Result<Answer> {
        if let Err(error) = self.write_all(request).and_then(|()| self.flush()) {
            refused(error)?;
        }
        let mut seen = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            if let Some(answer) = Answer::parse(&seen, head_only) {
                return Ok(answer);
            }
            match self.read(&mut chunk) {
                Ok(0) => return Ok(Answer::CLOSED),
                Ok(count) => seen.extend_from_slice(&chunk[..count]),
                Err(error) => return refused(error).map(|()| Answer::CLOSED),
            }
        }
    }
}

/// A closed connection and a refused handshake are answers; that nothing comes is none.
fn refused(error: Error) -> Result<()> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(error),
        _ => Ok(()),
    }
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `None` when the connection was closed without an answer.
    pub(crate) status: Option<u16>,
    /// Whether the connection can be used again.
    pub(crate) reusable: bool,
}

impl Answer {
    const CLOSED: Self = Self { status: None, reusable: false };

    /// `None` until all of it is there.
    fn parse(seen: &[u8], head_only: bool) -> Option<Self> {
        let end = seen.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&seen[..end]).to_ascii_lowercase();
        let mut lines = head.split("\r\n");
        let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let mut length = 0;
        let mut reusable = true;
        for line in lines {
            match line.split_once(": ") {
                Some(("content-length", count)) => length = count.parse().ok()?,
                Some(("connection", "close")) => reusable = false,
                _ => {}
            }
        }
        let whole = head_only || seen.len() >= end + 4 + length;
        whole.then_some(Self { status: Some(status), reusable })
    }
}

/// The JSON of a page of the admin port.
pub(crate) fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    // The body comes as one chunk: what stands around the braces is its length.
    match (text.find('{'), text.rfind('}')) {
        (Some(start), Some(end)) => Ok(text[start..=end].to_owned()),
        _ => Err(Error::new(ErrorKind::InvalidData, text)),
    }
}
