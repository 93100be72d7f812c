/**
 * Region names by the numbers the contract gives them (§1.2.6), for each storage vendor that has regions. Gaps are
 * numbers the contract does not give.
 */

type Regions = Readonly<Record<number, string>>;
const inOrder = (names: string): Regions => Object.fromEntries(names.split(' ').map((name, number) => [number, name]));

/** Amazon S3. */
const S3_REGIONS: Regions = {
  ...inOrder(
    'us-east-1 us-east-2 us-west-1 us-west-2 eu-west-1 eu-west-2 eu-west-3 eu-central-1 ap-southeast-1 ap-southeast-2 ' +
      'ap-northeast-1 ap-northeast-2 sa-east-1 ca-central-1 ap-south-1 cn-north-1 cn-northwest-1 us-gov-west-1 ' +
      'af-south-1 ap-east-1 ap-northeast-3 eu-north-1 me-south-1 us-gov-east-1 ap-southeast-3 eu-south-1',
  ),
  28: 'il-central-1',
};

/** Alibaba Cloud OSS. */
const OSS_REGIONS: Regions = inOrder(
  'cn-hangzhou cn-shanghai cn-qingdao cn-beijing cn-zhangjiakou cn-huhehaote cn-shenzhen cn-hongkong us-west-1 us-east-1 ' +
    'ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-5 ap-northeast-1 ap-south-1 eu-central-1 eu-west-1 ' +
    'me-east-1 ap-southeast-6 cn-heyuan cn-guangzhou cn-chengdu cn-nanjing cn-fuzhou cn-wulanchabu ap-northeast-2 ' +
    'ap-southeast-7',
);

/** Tencent Cloud COS. */
const COS_REGIONS: Regions = inOrder(
  'ap-beijing-1 ap-beijing ap-shanghai ap-guangzhou ap-chengdu ap-chongqing ap-shenzhen-fsi ap-shanghai-fsi ' +
    'ap-beijing-fsi ap-hongkong ap-singapore ap-mumbai ap-seoul ap-bangkok ap-tokyo na-siliconvalley na-ashburn ' +
    'na-toronto eu-frankfurt eu-moscow',
);

/** Huawei Cloud OBS. */
const OBS_REGIONS: Regions = inOrder(
  'cn-north-1 cn-north-4 cn-east-2 cn-east-3 cn-south-1 cn-southwest-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ' +
    'af-south-1 sa-argentina-1 sa-peru-1 na-mexico-1 sa-brazil-1 la-south-2 sa-chile-1',
);

/** Baidu BOS. */
const BOS_REGIONS: Regions = inOrder('bj bd su gz hkg sin fwh fsh');

/** Qiniu Kodo: East, North and South China, North America. */
const KODO_REGIONS: Regions = inOrder('z0 z1 z2 na0');

/** Kingsoft KS3, by the names that the contract's service prints; KS3's hosts have others. */
const KS3_REGIONS: Regions = inOrder(
  'CN_Hangzhou CN_Shanghai CN_Qingdao CN_Beijing CN_Guangzhou CN_Hongkong JR_Beijing JR_Shanghai NA_Russia_1 NA_Singapore_1',
);
/** The part of a host name `ks3-<part>.ksyuncs.com` for each region of KS3. */
export const KS3_HOSTS: Readonly<Record<string, string>> = {
  CN_Hangzhou: 'cn-hangzhou',
  CN_Shanghai: 'cn-shanghai',
  CN_Qingdao: 'cn-qingdao',
  CN_Beijing: 'cn-beijing',
  CN_Guangzhou: 'cn-guangzhou',
  CN_Hongkong: 'cn-hk-1',
  JR_Beijing: 'jr-beijing',
  JR_Shanghai: 'jr-shanghai',
  NA_Russia_1: 'rus',
  NA_Singapore_1: 'sgp',
};

/** The regions of a vendor's numbers. Vendors without an entry ignore `region`. */
export const REGIONS: Readonly<Record<number, Regions>> = {
  0: KODO_REGIONS,
  1: S3_REGIONS,
  2: OSS_REGIONS,
  3: COS_REGIONS,
  4: KS3_REGIONS,
  7: OBS_REGIONS,
  8: BOS_REGIONS,
};
