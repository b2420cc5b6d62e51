//! A small application for the end-to-end tests: it says who and where it is, calls its neighbours the way any service
//! would, and tries what it must not be able to do. `echo-app` serves HTTP, `echo-app tcp` echoes lines,
//! `echo-app job CODE` calls its neighbour `api` once and exits.
use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::Duration,
};

/// Longest any call of ours may take.
const DEADLINE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mode = env::args().nth(1).unwrap_or_default();
    if mode == "job" {
        println!("job: {}", call("api", "/who").unwrap_or_else(|error| format!("failed: {error}")));
        return ExitCode::from(env::args().nth(2).and_then(|code| code.parse().ok()).unwrap_or(0));
    }
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let Some(port) = env::var("PORT").ok().and_then(|port| port.parse::<u16>().ok()) else {
        eprintln!("echo-app: PORT is not set");
        return ExitCode::from(2);
    };
    let listener = match TcpListener::bind((host.as_str(), port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("echo-app: cannot listen on {host}:{port}: {error}");
            return ExitCode::from(2);
        }
    };
    println!("listening on {host}:{port}");
    for stream in listener.incoming().flatten() {
        let tcp = mode == "tcp";
        thread::spawn(move || {
            // A peer that goes away is no concern of ours.
            let _ = if tcp { echo(stream) } else { serve(stream) };
        });
    }
    ExitCode::SUCCESS
}

fn echo(stream: TcpStream) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        writeln!(writer, "echo {}", line?)?;
    }
    Ok(())
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let path = head.split_whitespace().nth(1).unwrap_or("/").to_owned();
        let (status, text) = match answer(&path) {
            Ok(text) => ("200 OK", text),
            Err(error) => ("502 Bad Gateway", error),
        };
        write!(
            writer,
            "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )?;
    }
}

fn answer(path: &str) -> Result<String, String> {
    let (action, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    match action {
        "who" => Ok(format!("{} pid {}", env::var("WARD_PROCESS").unwrap_or_default(), std::process::id())),
        "env" => Ok(env::vars().map(|(name, value)| format!("{name}={value}\n")).collect()),
        "status" => fs::read_to_string("/proc/self/status").map_err(|error| error.to_string()),
        "read" => match fs::read(format!("/{rest}")).or_else(|_| list(rest)) {
            Ok(bytes) => Ok(format!("read {} bytes", bytes.len())),
            Err(error) => Err(error.to_string()),
        },
        "mark" => {
            println!("marked {rest}");
            Ok("marked".to_owned())
        }
        "call" => {
            let (node, path) = rest.split_once('/').unwrap_or((rest, ""));
            call(node, &format!("/{path}"))
        }
        "tcp" => ping(rest),
        "connect" => {
            let address: SocketAddr = rest.parse().map_err(|_| format!("`{rest}` is no address"))?;
            let connected = TcpStream::connect_timeout(&address, Duration::from_secs(3));
            connected.map(|_| "connected".to_owned()).map_err(|error| error.to_string())
        }
        _ => Ok(format!("hello from {path}")),
    }
}

fn list(dir: &str) -> std::io::Result<Vec<u8>> {
    let names: Vec<String> = fs::read_dir(format!("/{dir}"))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    Ok(names.join("\n").into_bytes())
}

/// The body of a neighbour's answer, with its status in front.
fn call(node: &str, path: &str) -> Result<String, String> {
    let name = format!("WARD_{}_URL", node.to_uppercase().replace('-', "_"));
    let url = env::var(&name).map_err(|_| format!("{name} is not set"))?;
    let address = url.trim_start_matches("http://").to_owned();
    let exchange = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {node}\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = exchange().map_err(|error| format!("{address}: {error}"))?;
    let status = text.split_whitespace().nth(1).unwrap_or("none").to_owned();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(format!("{status} {body}"))
}

fn ping(node: &str) -> Result<String, String> {
    let name = format!("WARD_{}_ADDR", node.to_uppercase().replace('-', "_"));
    let address = env::var(&name).map_err(|_| format!("{name} is not set"))?;
    let exchange = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        writeln!(stream, "ping")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    };
    exchange().map_err(|error| format!("{address}: {error}"))
}
