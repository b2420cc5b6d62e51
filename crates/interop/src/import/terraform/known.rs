//! Types that are read, and types that say nothing of who sends what to whom.

/// What other modules read, and parts of what they read.
const READ: [&str; 76] = [
    "aws_s3_bucket", "aws_s3_bucket_acl", "aws_s3_bucket_policy", "aws_s3_bucket_public_access_block",
    "aws_s3_account_public_access_block", "aws_s3_bucket_server_side_encryption_configuration", "aws_s3_bucket_logging",
    "aws_s3_bucket_ownership_controls", "aws_s3_bucket_website_configuration", "aws_db_instance", "aws_rds_cluster",
    "aws_rds_cluster_instance", "aws_db_parameter_group", "aws_rds_cluster_parameter_group", "aws_docdb_cluster", "aws_docdb_cluster_instance",
    "aws_redshift_cluster", "aws_dynamodb_table", "aws_elasticache_cluster", "aws_elasticache_replication_group", "aws_efs_file_system",
    "aws_efs_mount_target", "aws_sqs_queue", "aws_sqs_queue_policy", "aws_sns_topic", "aws_sns_topic_policy", "aws_sns_topic_subscription",
    "aws_secretsmanager_secret", "aws_secretsmanager_secret_version", "aws_secretsmanager_secret_rotation", "aws_ssm_parameter",
    "aws_vpc", "aws_default_vpc", "aws_subnet", "aws_default_subnet", "aws_route_table", "aws_default_route_table", "aws_route",
    "aws_route_table_association", "aws_main_route_table_association", "aws_internet_gateway", "aws_security_group",
    "aws_default_security_group", "aws_security_group_rule", "aws_vpc_security_group_ingress_rule", "aws_vpc_endpoint",
    "aws_instance", "aws_spot_instance_request", "aws_launch_template", "aws_launch_configuration", "aws_autoscaling_group", "aws_autoscaling_attachment",
    "aws_eip", "aws_eip_association", "aws_ec2_instance_metadata_defaults", "aws_key_pair", "tls_private_key", "aws_eks_cluster", "aws_eks_node_group",
    "aws_lambda_function", "aws_lambda_function_url", "aws_lambda_permission", "aws_lambda_event_source_mapping", "aws_ecs_service",
    "aws_ecs_task_definition", "aws_lb", "aws_alb", "aws_lb_listener", "aws_alb_listener", "aws_lb_listener_rule", "aws_lb_target_group", "aws_alb_target_group",
    "aws_lb_target_group_attachment", "aws_alb_target_group_attachment", "aws_elb", "aws_cloudfront_distribution",
];

/// The same, of access and of what watches.
const READ_TOO: [&str; 32] = [
    "aws_wafv2_web_acl_association", "aws_wafregional_web_acl_association", "aws_api_gateway_rest_api", "aws_api_gateway_method",
    "aws_api_gateway_integration", "aws_api_gateway_stage", "aws_api_gateway_usage_plan", "aws_apigatewayv2_api", "aws_apigatewayv2_route",
    "aws_apigatewayv2_integration", "aws_apigatewayv2_stage", "aws_iam_role", "aws_iam_role_policy", "aws_iam_policy",
    "aws_iam_role_policy_attachment", "aws_iam_policy_attachment", "aws_iam_instance_profile", "aws_iam_user", "aws_iam_user_policy",
    "aws_iam_user_policy_attachment", "aws_iam_group", "aws_iam_group_policy", "aws_iam_group_policy_attachment",
    "aws_iam_user_group_membership", "aws_iam_group_membership", "aws_iam_access_key", "aws_cloudtrail", "aws_guardduty_detector",
    "aws_flow_log", "aws_iam_openid_connect_provider", "aws_db_subnet_group", "aws_iam_role_policies_exclusive",
];

/// Nothing of them is a node or a flow, nor says how one is kept.
const SILENT: [&str; 70] = [
    "aws_kms_key", "aws_kms_alias", "aws_kms_key_policy", "aws_kms_grant", "aws_s3_bucket_versioning", "aws_s3_bucket_lifecycle_configuration",
    "aws_s3_bucket_cors_configuration", "aws_s3_bucket_metric", "aws_s3_bucket_inventory", "aws_s3_bucket_object_lock_configuration",
    "aws_s3_object", "aws_s3_bucket_object", "aws_nat_gateway", "aws_egress_only_internet_gateway", "aws_vpc_security_group_egress_rule", "aws_network_acl",
    "aws_default_network_acl", "aws_network_acl_rule", "aws_vpc_dhcp_options", "aws_vpc_dhcp_options_association", "aws_vpc_endpoint_route_table_association",
    "aws_vpc_endpoint_subnet_association", "aws_vpc_ipv4_cidr_block_association", "aws_vpn_gateway", "aws_ebs_volume", "aws_volume_attachment",
    "aws_ebs_encryption_by_default", "aws_ebs_default_kms_key", "aws_placement_group", "aws_autoscaling_policy", "aws_autoscaling_schedule",
    "aws_appautoscaling_target", "aws_appautoscaling_policy", "aws_cloudwatch_log_group", "aws_cloudwatch_log_stream", "aws_cloudwatch_metric_alarm",
    "aws_cloudwatch_dashboard", "aws_cloudwatch_log_metric_filter", "aws_ecs_cluster", "aws_ecs_cluster_capacity_providers", "aws_ecs_capacity_provider",
    "aws_elasticache_subnet_group", "aws_elasticache_parameter_group", "aws_db_option_group", "aws_docdb_subnet_group", "aws_redshift_subnet_group",
    "aws_eks_addon", "aws_eks_fargate_profile", "aws_eks_pod_identity_association", "aws_acm_certificate", "aws_acm_certificate_validation",
    "aws_route53_zone", "aws_route53_record", "aws_route53_health_check", "aws_api_gateway_resource", "aws_api_gateway_deployment",
    "aws_api_gateway_method_response", "aws_api_gateway_integration_response", "aws_api_gateway_domain_name", "aws_api_gateway_base_path_mapping",
    "aws_apigatewayv2_deployment", "aws_apigatewayv2_domain_name", "aws_lambda_alias", "aws_lambda_layer_version", "aws_wafv2_web_acl", "aws_wafv2_ip_set",
    "aws_iam_account_password_policy", "aws_iam_service_linked_role", "aws_cloudfront_origin_access_identity", "aws_cloudfront_origin_access_control",
];

/// Whether it is read, or says nothing.
pub(super) fn is_known(kind: &str) -> bool {
    let provider = kind.split('_').next().unwrap_or_default();
    READ.contains(&kind)
        || READ_TOO.contains(&kind)
        || SILENT.contains(&kind)
        || matches!(provider, "random" | "null" | "time" | "local" | "template" | "archive" | "tls" | "terraform" | "external" | "http" | "cloudinit")
}
