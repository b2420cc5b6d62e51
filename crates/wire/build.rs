//! Compiles the protobufs with `protox`, so that no system `protoc` is needed.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "proto/envoy/service/discovery/v3/discovery.proto",
        "proto/ward/v1/identity.proto",
        "proto/ward/v1/resources.proto",
        "proto/ward/v1/report.proto",
    ];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure()
        // A static configuration file is the same resources, written as YAML.
        .type_attribute(
            ".ward.v1.resources",
            "#[derive(serde::Serialize, serde::Deserialize)] #[serde(default, deny_unknown_fields)]",
        )
        .compile_fds(descriptors)?;
    Ok(())
}
